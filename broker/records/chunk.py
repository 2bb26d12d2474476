"""A piece of a streamed answer, as it stands in `llm.chunks`. Each call has its own run of them.

The records of a prompt have its id as their key and lie in one partition. A call begins with
`started`, brings any number of `piece`s and ends with `ended` or `failed`; `seq` counts them from
0. `attempt` and `began_at` together name the call: a call that is made again after a crash may
have the same `attempt` once more. What a reader makes of it is `broker.core.chunk_reading`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

import orjson

from broker.records.calls import Outcome
from broker.records.errors import BadRecordError
from broker.records.headers import echoed
from broker.records.incoming import Headers
from broker.records.times import from_rfc3339, to_rfc3339
from broker.records.usage import Usage

ChunkEvent = Literal["started", "piece", "ended", "failed"]
CHUNK_TYPE: Final = b"weighbridge.chunk.v1"


class CallName(NamedTuple):
    """Which call: its number over all providers, and when it began as unix seconds."""

    attempt: int
    began_at: float


@dataclass(frozen=True, slots=True)
class Chunk:
    """One record. `at` is when it was written, as unix seconds.

    `index` is the choice of a piece and `delta` what it adds to that choice's message, in OpenAI's
    form; `finish_reason` stands on a choice's last piece, and that of the first choice on `ended`.
    `usage` stands on `ended` and, as far as it is known, on `failed`; so does `outcome`, what
    followed the call, and `code`, why.
    """

    id: str
    tenant: str
    provider: str
    model: str
    call: CallName
    seq: int
    event: ChunkEvent
    at: float
    index: int | None = None
    delta: Mapping[str, Any] | None = field(repr=False, default=None)
    finish_reason: str | None = None
    usage: Usage | None = None
    outcome: Outcome | None = None
    code: str | None = None


class ChunkWriter:
    """Writes one call's records; what they have in common is encoded once.

    A stream has a record for nearly every piece that a provider sends, so this must cost little.
    """

    __slots__ = ("_echo", "_head", "_name", "key")

    def __init__(
        self,
        *,
        prompt_id: str,
        tenant: str,
        provider: str,
        model: str,
        call: CallName,
        headers: Headers = (),
    ) -> None:
        """`headers` are the prompt's."""
        head = {
            "id": prompt_id,
            "tenant": tenant,
            "provider": provider,
            "model": model,
            "attempt": call.attempt,
            "began_at": to_rfc3339(call.began_at),
        }
        self._head = orjson.dumps(head)[:-1]
        self._name = f"{prompt_id}/{call.attempt}-{round(call.began_at * 1000)}/".encode()
        self._echo = echoed(headers)
        self.key = prompt_id.encode()
        """The key of every record."""

    def started(self, seq: int, at: float) -> bytes:
        """The call's first record."""
        return self._begin(seq, "started", at) + b"}"

    def piece(
        self, seq: int, at: float, index: int, delta: Mapping[str, Any], finish_reason: str | None
    ) -> bytes:
        """A piece of a choice; raises TypeError for a delta that JSON cannot say."""
        return b'%b,"index":%d,"delta":%b,"finish_reason":%b}' % (
            self._begin(seq, "piece", at),
            index,
            orjson.dumps(delta),
            b"null" if finish_reason is None else orjson.dumps(finish_reason),
        )

    def last(
        self,
        seq: int,
        event: Literal["ended", "failed"],
        at: float,
        *,
        finish_reason: str | None = None,
        outcome: Outcome | None = None,
        code: str | None = None,
        usage: Usage | None = None,
    ) -> bytes:
        """The call's last record."""
        counts = usage or Usage()
        said = {
            "finish_reason": finish_reason,
            "outcome": outcome,
            "code": code,
            "usage": {name: getattr(counts, name) for name in _COUNTS},
        }
        return self._begin(seq, event, at) + b"," + orjson.dumps(said)[1:]

    def headers(self, seq: int, event: ChunkEvent) -> list[tuple[str, bytes]]:
        """CloudEvents without what stands in the value, then what correlates with the prompt."""
        return [
            ("ce_specversion", b"1.0"),
            ("ce_id", b"%b%d" % (self._name, seq)),
            ("ce_source", b"weighbridge"),
            ("ce_type", CHUNK_TYPE),
            ("content-type", b"application/json"),
            ("event", event.encode()),
            *self._echo,
        ]

    def _begin(self, seq: int, event: str, at: float) -> bytes:
        return b'%b,"seq":%d,"event":"%b","at":"%b"' % (
            self._head,
            seq,
            event.encode(),
            to_rfc3339(at).encode(),
        )


def decode_chunk(value: bytes | None) -> Chunk:
    """Read a record; raises BadRecordError when it is not one of ours."""
    try:
        data = orjson.loads(value or b"")
        usage, event, delta = data.get("usage"), data["event"], data.get("delta")
        if event not in _EVENTS or type(data["seq"]) is not int:
            raise ValueError("no event of ours")  # noqa: TRY301 - told by the one error below
        if event == "piece" and not (type(data["index"]) is int and isinstance(delta, dict)):
            raise TypeError("a piece without its delta")  # noqa: TRY301 - as above
        return Chunk(
            id=data["id"],
            tenant=data["tenant"],
            provider=data["provider"],
            model=data["model"],
            call=CallName(data["attempt"], from_rfc3339(data["began_at"])),
            seq=data["seq"],
            event=event,
            at=from_rfc3339(data["at"]),
            index=data.get("index"),
            delta=delta,
            finish_reason=data.get("finish_reason"),
            usage=None if usage is None else Usage(**{name: usage.get(name) for name in _COUNTS}),
            outcome=data.get("outcome"),
            code=data.get("code"),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as problem:
        raise BadRecordError(
            "A piece of a streamed answer is not in the contract's form.",
            mend="Something other than a worker wrote to the chunks topic.",
            code="bad_chunk",
        ) from problem


_EVENTS: Final = frozenset({"started", "piece", "ended", "failed"})
_COUNTS: Final = ("input_tokens", "output_tokens", "cached_input_tokens", "reasoning_tokens")
