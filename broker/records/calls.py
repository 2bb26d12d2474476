"""The journal's records: one when a provider call starts, one when it ends. No texts."""

from dataclasses import dataclass
from typing import Any, Literal

import orjson

from broker.records.errors import BadRecordError
from broker.records.times import from_rfc3339, to_rfc3339

Outcome = Literal["ok", "retry", "move", "stop"]


@dataclass(frozen=True, slots=True)
class CallEvent:
    """One line of the journal. `at` is unix seconds; `ms`, `first_token_ms` are milliseconds.

    `per_token_ms` is the time of each token after the first of a streamed answer.
    `attempt` counts a prompt's calls from 1 over all providers; with `event` it names the line,
    so a call that was repeated after a crash is seen as two starts.
    """

    id: str
    tenant: str
    provider: str
    model: str
    attempt: int
    event: Literal["started", "ended"]
    at: float
    outcome: Outcome | None = None
    http_status: int | None = None
    code: str | None = None
    ms: int | None = None
    first_token_ms: int | None = None
    per_token_ms: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    """None where it is not known."""
    cost_estimated: bool | None = None
    """Whether the cost was worked out from our own counts, as the provider did not tell its own."""


_ENDED = (
    *("outcome", "http_status", "code", "ms", "first_token_ms", "per_token_ms"),
    *("input_tokens", "output_tokens", "cost_usd", "cost_estimated"),
)


def encode_call(event: CallEvent) -> bytes:
    """The value of a journal record."""
    value: dict[str, Any] = {
        "id": event.id,
        "tenant": event.tenant,
        "provider": event.provider,
        "model": event.model,
        "attempt": event.attempt,
        "event": event.event,
        "at": to_rfc3339(event.at),
    }
    if event.event == "ended":
        value |= {name: getattr(event, name) for name in _ENDED}
    return orjson.dumps(value)


def decode_call(value: bytes | None) -> CallEvent:
    """Read a journal record; raises BadRecordError when it is not one of ours."""
    try:
        data = orjson.loads(value or b"")
        return CallEvent(**{**data, "at": from_rfc3339(data["at"])})
    except (KeyError, TypeError, ValueError) as error:
        raise BadRecordError(
            "A record of the call journal is not in the contract's form.",
            mend="Something other than a worker wrote to the calls topic.",
            code="bad_call_event",
        ) from error
