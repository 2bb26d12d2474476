"""The journal's records: one when a provider call starts, one when it ends. No texts."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Literal

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
    kind: str = ""
    lane: str = ""
    weight: int | None = None
    """In token units, as the work had it."""
    expected_output_tokens: int | None = None
    """What the weight was reached with."""
    queued_ms: int | None = None
    """From the prompt's acceptance to the start of this call."""
    own_maximum: int | None = None
    """The most output tokens the request allowed, None when it did not say."""
    weighed_input_tokens: int | None = None
    """Input tokens as the classifier counted them, which is how the next prompt's are counted."""
    answers: int | None = None
    """How many answers were asked for at once, where it was not one."""
    cut: bool | None = None
    """Whether the answer ended at its greatest length, so that it would have been longer."""
    notes: Mapping[str, str] | None = None
    """What the provider told beside the answer, such as the deployment it spilled over to."""


_ENDED = (
    *("outcome", "http_status", "code", "ms", "first_token_ms", "per_token_ms"),
    *("input_tokens", "output_tokens", "cost_usd", "cost_estimated"),
)
_WHERE_KNOWN = (
    *("kind", "lane", "weight", "expected_output_tokens", "queued_ms", "own_maximum"),
    *("weighed_input_tokens", "answers", "cut", "notes"),
)
_FIELDS: Final = frozenset(field.name for field in fields(CallEvent))


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
    for name in _WHERE_KNOWN:
        given = getattr(event, name)
        if given is not None and given != "":
            value[name] = given
    return orjson.dumps(value)


def decode_call(value: bytes | None) -> CallEvent:
    """Read a journal record; raises BadRecordError when it is not one of ours.

    One of another version of the program may lack fields that have a default, or have others.
    """
    try:
        data = orjson.loads(value or b"")
        known = {name: given for name, given in data.items() if name in _FIELDS}
        return CallEvent(**{**known, "at": from_rfc3339(data["at"])})
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BadRecordError(
            "A record of the call journal is not in the contract's form.",
            mend="Something other than a worker wrote to the calls topic.",
            code="bad_call_event",
        ) from error
