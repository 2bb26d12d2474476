"""The one answer to a prompt, as it stands in `llm.completions`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from broker.records.data_refs import DataRef, data_ref_of
from broker.records.errors import BadRecordError
from broker.records.not_routed import NotRouted, not_routed_of
from broker.records.times import from_rfc3339, to_rfc3339
from broker.records.work import RouteStep, step_of

Status = Literal["succeeded", "failed", "refused", "expired", "cancelled"]
STATUSES: tuple[Status, ...] = ("succeeded", "failed", "refused", "expired", "cancelled")


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a prompt was not answered. `provider_status` is an HTTP status where there was one.

    `retry_at` is from when on it may be asked again (unix seconds), where a limit ended it;
    `not_routed` the decision behind it, where nobody could or might take the prompt (any more).
    """

    type: str
    code: str
    message: str
    provider_status: int | None = None
    retry_at: float | None = None
    not_routed: NotRouted | None = None

    def as_json(self) -> dict[str, Any]:
        """As it stands in a completion."""
        value: dict[str, Any] = {
            "type": self.type,
            "code": self.code,
            "message": self.message,
            "provider_status": self.provider_status,
        }
        if self.retry_at is not None:
            value["retry_at"] = to_rfc3339(self.retry_at)
        if self.not_routed is not None:
            value["not_routed"] = self.not_routed.as_json()
        return value


@dataclass(frozen=True, slots=True)
class Completion:
    """How a prompt ended. Times are unix seconds; `queued_ms` and `provider_ms` milliseconds.

    `calls` counts every provider call made for the prompt that is known of. `cost_usd` is what
    these calls cost together, also those that failed and those at other providers; None where
    nothing of it is known, 0 where none was made. `cost_estimated`: a part of it was estimated, or
    is not known and left out. A call that a crash cut off is known to the journal only.
    """

    id: str
    tenant: str
    status: Status
    kind: str
    model: str
    provider: str
    provider_model: str
    lane: str
    weight: int
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    accepted_at: float
    completed_at: float
    queued_ms: int
    provider_ms: int
    calls: int
    route: tuple[RouteStep, ...] = ()
    error: Failure | None = None
    metadata: Mapping[str, str] = field(repr=False, default_factory=dict)
    text: str | None = field(repr=False, default=None)
    body: Mapping[str, Any] | None = field(repr=False, default=None)
    data: DataRef | None = None
    cost_estimated: bool = False


def encode_completion(completion: Completion) -> bytes:
    """The value of a completion: what people filter by first, the long texts last."""
    error, data = completion.error, completion.data
    value: dict[str, Any] = {
        "id": completion.id,
        "tenant": completion.tenant,
        "status": completion.status,
        "kind": completion.kind,
        "model": completion.model,
        "provider": completion.provider,
        "provider_model": completion.provider_model,
        "lane": completion.lane,
        "weight": completion.weight,
        "input_tokens": completion.input_tokens,
        "output_tokens": completion.output_tokens,
        "cost_usd": completion.cost_usd,
        "cost_estimated": completion.cost_estimated,
        "accepted_at": to_rfc3339(completion.accepted_at),
        "completed_at": to_rfc3339(completion.completed_at),
        "queued_ms": completion.queued_ms,
        "provider_ms": completion.provider_ms,
        "calls": completion.calls,
        "route": [step.as_json() for step in completion.route],
        "error": None if error is None else error.as_json(),
        "metadata": completion.metadata,
    }
    if data is not None:
        value |= data.as_json()
    return orjson.dumps({**value, "text": completion.text, "body": completion.body})


def decode_completion(value: bytes | None) -> Completion:
    """Read a completion; raises BadRecordError when it is not one of ours."""
    try:
        data = orjson.loads(value or b"")
        error = data["error"]
        return Completion(
            **{name: data[name] for name in _PLAIN},
            accepted_at=from_rfc3339(data["accepted_at"]),
            completed_at=from_rfc3339(data["completed_at"]),
            route=tuple(map(step_of, data["route"])),
            error=None if error is None else _failure_of(error),
            data=data_ref_of(data) if "dataref" in data else None,
            cost_estimated=data.get("cost_estimated") is True,
        )
    except (KeyError, TypeError, ValueError) as problem:
        raise BadRecordError(
            "A completion is not in the contract's form.",
            mend="Something other than Weighbridge wrote to the completions topic.",
            code="bad_completion",
        ) from problem


def _failure_of(data: Mapping[str, Any]) -> Failure:
    again, why = data.get("retry_at"), data.get("not_routed")
    return Failure(
        data["type"],
        data["code"],
        data["message"],
        data["provider_status"],
        None if again is None else from_rfc3339(again),
        None if why is None else not_routed_of(why),
    )


_PLAIN = (
    *("id", "tenant", "status", "kind", "model", "provider", "provider_model", "lane", "weight"),
    *("input_tokens", "output_tokens", "cost_usd", "queued_ms", "provider_ms", "calls"),
    *("metadata", "text", "body"),
)
