"""A prompt that has been weighed and routed, as it stands in `llm.work.<provider>`."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import orjson

from broker.records.errors import BadRecordError
from broker.records.headers import carried
from broker.records.incoming import Headers, Source
from broker.records.prompt import KINDS
from broker.records.tenants import Charged, charged_of
from broker.records.times import from_rfc3339, to_rfc3339


@dataclass(frozen=True, slots=True)
class RouteStep:
    """One choice of a provider: which, why (words and figures), and when (unix seconds).

    `code` is a word of `broker.core.routing.Reason`; `candidates` what was known of each provider
    at the time, ready for JSON, as `broker.core.routing` says it (work records only).
    """

    provider: str
    reason: str
    at: float
    code: str = ""
    candidates: tuple[Mapping[str, Any], ...] = ()

    def as_json(self, *, whole: bool = False) -> dict[str, Any]:
        """The step as completions carry it; `whole`, with the candidates, as work records do."""
        value: dict[str, Any] = {"provider": self.provider, "reason": self.reason}
        value["at"] = to_rfc3339(self.at)
        if self.code:
            value["code"] = self.code
        if whole and self.candidates:
            value["candidates"] = self.candidates
        return value


def step_of(data: Mapping[str, Any]) -> RouteStep:
    """Read a step; raises KeyError, TypeError or ValueError when it is none."""
    return RouteStep(
        data["provider"],
        data["reason"],
        from_rfc3339(data["at"]),
        data.get("code", ""),
        tuple(data.get("candidates", ())),
    )


@dataclass(frozen=True, slots=True)
class Work:
    """What a worker needs to answer one prompt.

    `weight` is in token units; `attempt` counts the provider calls begun before this record was
    written, `cost_usd` what is known of their cost (None: nothing of it; `cost_estimated`: a part
    of it was estimated or is not known); `route` ends with the provider whose topic this is. Times
    are unix seconds.

    `weighed` says in words how the expected output was reached. `not_before` is when it may start
    at the earliest, where its tenant's rate made it wait, and `charged` what its tenant was charged
    for it, where that has limits; `apart` the tenant's share of its lane's
    work, where it was so large that it is kept out of others' partitions.
    """

    id: str
    tenant: str
    kind: str
    model: str
    priority: str
    provider: str | None
    deadline: float | None
    stream: bool
    accepted_at: float
    source: Source
    reply_partition: int | None
    weight: int
    lane: str
    input_tokens: int
    expected_output_tokens: int
    attempt: int
    route: tuple[RouteStep, ...]
    fields: Mapping[str, Any] = field(repr=False)
    metadata: Mapping[str, str] = field(repr=False)
    headers: Headers = field(repr=False, default=())
    cost_usd: float | None = 0.0
    cost_estimated: bool = False
    weighed: str = ""
    not_before: float | None = None
    apart: float | None = None
    charged: Charged | None = None

    @property
    def moves(self) -> int:
        """How often the work has changed its provider."""
        return len(self.route) - 1

    def moved(
        self,
        step: RouteStep,
        *,
        attempt: int,
        cost_usd: float | None = 0.0,
        cost_estimated: bool = False,
    ) -> "Work":
        """The same work on its way to another provider, with what it has taken so far."""
        return replace(
            self,
            route=(*self.route, step),
            attempt=attempt,
            cost_usd=cost_usd,
            cost_estimated=cost_estimated,
        )


def encode_work(work: Work) -> bytes:
    """The value of a work record: the broker's fields first, the prompt's own after them."""
    ours = {
        "id": work.id,
        "tenant": work.tenant,
        "kind": work.kind,
        "model": work.model,
        "priority": work.priority,
        "lane": work.lane,
        "weight": work.weight,
        "input_tokens": work.input_tokens,
        "expected_output_tokens": work.expected_output_tokens,
        "attempt": work.attempt,
        "cost_usd": work.cost_usd,
        "cost_estimated": work.cost_estimated,
        "accepted_at": to_rfc3339(work.accepted_at),
        "source": {"partition": work.source.partition, "offset": work.source.offset},
        "route": [step.as_json(whole=True) for step in work.route],
    }
    if work.deadline is not None:
        ours["deadline"] = to_rfc3339(work.deadline)
    if work.weighed:
        ours["weighed"] = work.weighed
    if work.not_before is not None:
        ours["not_before"] = to_rfc3339(work.not_before)
    if work.charged is not None:
        ours["charged"] = work.charged.as_json()
    if work.apart is not None:
        ours["apart"] = round(work.apart, 3)
    if work.reply_partition is not None:
        ours["reply_partition"] = work.reply_partition
    # The producer's fields keep their own folder: an unknown field of theirs may have any name.
    return orjson.dumps({**ours, "prompt": work.fields})


def work_headers(work: Work) -> Headers:
    """Headers of a work record: ours for people in consoles, then the producer's own."""
    return (
        ("lane", work.lane.encode()),
        ("weight", str(work.weight).encode()),
        ("attempt", str(work.attempt).encode()),
        ("reason", work.route[-1].reason.encode()),
        *carried(work.headers),
    )


def decode_work(value: bytes | None, headers: Headers = ()) -> Work:
    """Read a work record; raises BadRecordError when it is not one of ours."""
    try:
        data = orjson.loads(value or b"")
        _check(data)
        fields = data["prompt"]
        source = data["source"]
        deadline, not_before = data.get("deadline"), data.get("not_before")
        charged = data.get("charged")
        return Work(
            id=data["id"],
            tenant=data["tenant"],
            kind=data["kind"],
            model=data["model"],
            priority=data["priority"],
            provider=fields.get("provider"),
            deadline=None if deadline is None else from_rfc3339(deadline),
            stream=fields.get("stream") is True,
            accepted_at=from_rfc3339(data["accepted_at"]),
            source=Source(source["partition"], source["offset"]),
            reply_partition=data.get("reply_partition"),
            weight=data["weight"],
            lane=data["lane"],
            input_tokens=data["input_tokens"],
            expected_output_tokens=data["expected_output_tokens"],
            attempt=data["attempt"],
            route=tuple(map(step_of, data["route"])),
            fields=fields,
            metadata=fields.get("metadata") or {},
            headers=headers,
            cost_usd=data.get("cost_usd", 0.0),
            cost_estimated=data.get("cost_estimated") is True,
            weighed=data.get("weighed", ""),
            not_before=None if not_before is None else from_rfc3339(not_before),
            charged=None if charged is None else charged_of(charged),
            apart=data.get("apart"),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadRecordError(
            "A work record is not in the contract's form.",
            mend="Something other than the classifier or a worker wrote to a work topic.",
            code="bad_work_record",
        ) from error


_TYPES: Final[Mapping[str, type]] = {
    **dict.fromkeys(("id", "tenant", "kind", "model", "priority", "lane", "accepted_at"), str),
    **dict.fromkeys(("weight", "input_tokens", "expected_output_tokens", "attempt"), int),
    "source": dict,
    "prompt": dict,
    "route": list,
}


def _check(data: Mapping[str, Any]) -> None:
    """Types, so that a foreign record fails here rather than in the middle of a worker."""
    fields = data["prompt"]
    sound = (
        all(type(data[name]) is kind for name, kind in _TYPES.items())
        and data["kind"] in KINDS
        and data["route"]
        and isinstance(data.get("reply_partition"), int | None)
        and isinstance(data.get("cost_usd"), int | float | None)
        and isinstance(data.get("weighed", ""), str)
        and isinstance(data.get("apart"), float | None)
        and isinstance(fields.get("provider"), str | None)
        and isinstance(fields.get("metadata"), dict | None)
    )
    if not sound:
        raise TypeError("a field has another type than the contract says")
