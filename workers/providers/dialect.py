"""What an adapter is: pure functions from a prompt to a request and from a reply to an answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from broker.core.retries import RetryTable
from broker.records.errors import WeighbridgeError
from broker.records.usage import Usage
from broker.records.work import Work
from broker.settings.providers import ServedModel


class MalformedReplyError(WeighbridgeError):
    """A reply with a good status that is not in its dialect's form. Never quotes the reply."""

    default_code = "malformed_reply"


class CutStreamError(WeighbridgeError):
    """A stream that ended before the answer did."""

    default_code = "stream_cut"


class CannotExpressError(WeighbridgeError):
    """The dialect has no words for what the prompt asks; nothing was called.

    `message` says what, such as "Gemini makes one answer, and `n` asks for 3.". The work goes to
    another provider, or fails with `code` where there is none.
    """

    default_code = "not_expressible"


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One call: `path` follows the provider's base URL, query included; `body` is JSON."""

    path: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    streamed: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole reply. `headers` is case-insensitive."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. `body` is in OpenAI's form, `text` its first choice where that is text.

    `refusal` is the code of a refusal (such as `content_filter`) when the provider answered that it
    will not answer. `notes` are short facts of the call for the journal, such as which deployment
    answered; never any text of a prompt or an answer.
    """

    text: str | None = field(repr=False)
    body: Mapping[str, Any] = field(repr=False)
    usage: Usage
    finish_reason: str | None
    refusal: str | None = None
    notes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a streamed answer, in OpenAI's form of a choice in a chunk."""

    index: int
    """The choice that it belongs to."""
    delta: Mapping[str, Any] = field(repr=False)
    finish_reason: str | None = None


@dataclass(frozen=True, slots=True)
class LimitsSeen:
    """What a reply's headers say of the provider's limits; None where they do not say.

    Limits are per minute; `reset` is in how many seconds all of it is there again.
    """

    requests_limit: int | None = None
    requests_left: int | None = None
    requests_reset_s: float | None = None
    tokens_limit: int | None = None
    tokens_left: int | None = None
    tokens_reset_s: float | None = None


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
        should_retry: bool | None = None,
    ) -> None:
        super().__init__(f"{status} {code or kind}")
        self.status = status
        self.type = kind
        self.code = code
        self.message = message
        self.retry_after_s = retry_after_s
        self.should_retry = should_retry
        """What the provider itself says of another try; None when it says nothing."""


class Assembler(Protocol):
    """Puts a streamed answer together."""

    @property
    def begun(self) -> bool:
        """Whether any content has come: the first token."""

    @property
    def ended(self) -> bool:
        """Whether the stream said that it is over; what follows need not be read."""

    @property
    def usage(self) -> Usage:
        """What was used as far as the stream has said: also of one that fails later."""

    def feed(self, data: bytes) -> Sequence[Piece]:
        """Take the next bytes, cut anywhere, and return what they add to the answer, in order.

        Raises ErrorReply or MalformedReplyError.
        """

    def answer(self) -> Answer:
        """The whole answer; raises CutStreamError when the stream ended before it did."""


class Adapter(Protocol):
    """One dialect, as one provider's settings want it spoken.

    Without state: one object serves every call of a process.
    """

    retries: RetryTable
    """What follows each error, beyond what holds for every dialect."""
    root: str
    """What follows the simulator's address of a provider where a `base_url` would end, such as
    `/v1`."""

    def key_header(self, key: str) -> tuple[str, str]:
        """The header that carries an API key. Tokens always travel as `Authorization: Bearer`."""

    def request(self, work: Work, served: ServedModel) -> HttpRequest:
        """The call that asks for this work, without credentials; raises CannotExpressError."""

    def answer(self, work: Work, reply: Reply) -> Answer:
        """Read a whole reply; raises ErrorReply or MalformedReplyError."""

    def assembler(self, work: Work) -> Assembler:
        """A new assembler for the streamed reply to this work."""

    def error(self, reply: Reply) -> ErrorReply:
        """Read a reply whose status is not a success, whatever its body is."""

    def limits(self, headers: Mapping[str, str]) -> LimitsSeen | None:
        """What the headers of any reply say of limits; None when they say nothing."""

    def notes(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """What the headers of any reply say for the journal; mostly nothing."""
