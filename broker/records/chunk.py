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


def encode_chunk(chunk: Chunk) -> bytes:
    """The value of a record; raises TypeError for a delta that JSON cannot say."""
    value: dict[str, Any] = {
        "id": chunk.id,
        "tenant": chunk.tenant,
        "provider": chunk.provider,
        "model": chunk.model,
        "attempt": chunk.call.attempt,
        "began_at": to_rfc3339(chunk.call.began_at),
        "seq": chunk.seq,
        "event": chunk.event,
        "at": to_rfc3339(chunk.at),
    }
    if chunk.event == "piece":
        value["index"] = chunk.index
        value["delta"] = chunk.delta
        value["finish_reason"] = chunk.finish_reason
    elif chunk.event != "started":
        usage = chunk.usage or Usage()
        value |= {
            "finish_reason": chunk.finish_reason,
            "outcome": chunk.outcome,
            "code": chunk.code,
            "usage": {name: getattr(usage, name) for name in _COUNTS},
        }
    return orjson.dumps(value)


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


def chunk_headers(chunk: Chunk, echo: Headers) -> Headers:
    """Headers of a record: CloudEvents without what stands in the value, then `echo`.

    `echo` is `broker.records.headers.echoed` of the prompt's, once for all records of a call.
    """
    call = chunk.call
    name = f"{chunk.id}/{call.attempt}-{round(call.began_at * 1000)}/{chunk.seq}"
    return (
        ("ce_specversion", b"1.0"),
        ("ce_id", name.encode()),
        ("ce_source", b"weighbridge"),
        ("ce_type", CHUNK_TYPE),
        ("content-type", b"application/json"),
        ("event", chunk.event.encode()),
        *echo,
    )


_EVENTS: Final = frozenset({"started", "piece", "ended", "failed"})
_COUNTS: Final = ("input_tokens", "output_tokens", "cached_input_tokens", "reasoning_tokens")
