"""What an adapter is: pure functions from a prompt to a request and from a reply to an answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from broker.records.errors import WeighbridgeError
from broker.records.work import Work


class MalformedReplyError(WeighbridgeError):
    """A reply with a good status that is not in its dialect's form. Never quotes the reply."""

    default_code = "malformed_reply"


class CutStreamError(WeighbridgeError):
    """A stream that ended before the answer did."""

    default_code = "stream_cut"


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One call: `path` follows the provider's base URL; `body` is JSON."""

    path: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    streamed: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. `body` is in OpenAI's form, `text` its first choice where that is text.

    Tokens are the provider's own count, None where it gave none. `refusal` is the code of a refusal
    (such as `content_filter`) when the provider answered that it will not answer.
    """

    text: str | None = field(repr=False)
    body: Mapping[str, Any] = field(repr=False)
    input_tokens: int | None
    output_tokens: int | None
    finish_reason: str | None
    refusal: str | None = None


class ErrorReply(Exception):  # noqa: N818 - a reply of the provider, not a fault of ours
    """The provider said no. `message` is its own sentence, for the sender of the prompt only."""

    def __init__(
        self,
        *,
        status: int,
        kind: str,
        code: str | None,
        message: str,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(f"{status} {code or kind}")
        self.status = status
        self.type = kind
        self.code = code
        self.message = message
        self.retry_after_s = retry_after_s


class Assembler(Protocol):
    """Puts a streamed answer together."""

    @property
    def begun(self) -> bool:
        """Whether any content has come: the first token."""

    @property
    def ended(self) -> bool:
        """Whether the stream said that it is over; what follows need not be read."""

    def feed(self, data: bytes) -> None:
        """Take the next bytes, cut anywhere. Raises ErrorReply or MalformedReplyError."""

    def answer(self) -> Answer:
        """The whole answer; raises CutStreamError when the stream ended before it did."""


class Adapter(Protocol):
    """One dialect. Without state: one object serves every call of a process."""

    def request(
        self, work: Work, *, model: str, api_key: str | None, trace: Mapping[str, str]
    ) -> HttpRequest:
        """The call that asks for this work; `model` is the provider's own name for it."""

    def answer(self, work: Work, body: bytes) -> Answer:
        """Read a whole reply; raises ErrorReply or MalformedReplyError."""

    def assembler(self, work: Work) -> Assembler:
        """A new assembler for the streamed reply to this work."""

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> ErrorReply:
        """Read a reply whose status is not a success, whatever its body is."""
