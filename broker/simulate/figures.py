"""The figures of a replay: quantiles by lane and tenant, cost, moves, refusals, each minute's."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, isnan
from typing import Any, Final

from broker.core.lanes import LANES
from broker.records.completion import STATUSES
from broker.simulate.outcome import NOBODY, PENDING, Outcome

QUANTILES: Final = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
STEP_S: Final = 60.0
"""The time line has a value for the prompts that came in each of these."""
_ANSWERED: Final = STATUSES.index("succeeded")


@dataclass(frozen=True, slots=True)
class Spread:
    """Milliseconds from acceptance to the answer, of so many answered prompts."""

    count: int
    p50: float | None
    p95: float | None
    p99: float | None

    def as_json(self) -> dict[str, Any]:
        """The numbers, rounded to whole milliseconds."""
        named = {name: getattr(self, name) for name in QUANTILES}
        rounded = {name: None if ms is None else round(ms) for name, ms in named.items()}
        return {"answered": self.count, **rounded}


def spread_of(ms: Iterable[float]) -> Spread:
    """Nearest rank, as everywhere here."""
    ordered = sorted(ms)
    found = [
        ordered[max(0, ceil(share * len(ordered)) - 1)] if ordered else None
        for share in QUANTILES.values()
    ]
    return Spread(len(ordered), *found)


@dataclass(frozen=True, slots=True)
class ProviderFigures:
    """One provider's part. `cost_usd` counts prompts that ended there, all their calls."""

    answered: int
    share: float
    cost_usd: float
    moves_in: int
    moves_out: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What one policy came to. `latency` and the others are of answered prompts only."""

    prompts: int
    statuses: Mapping[str, int]
    refusals: Mapping[str, int]
    """Ends that are no answers, by code."""
    latency: Spread
    lanes: Mapping[str, Spread]
    tenants: Mapping[str, Spread]
    providers: Mapping[str, ProviderFigures]
    cost_usd: float
    cost_estimated: bool
    cost_unknown: int
    """Prompts of whose cost nothing is known."""
    calls: int
    moves: int
    moved: Mapping[str, int]
    reasons: Mapping[str, int]
    seconds: float
    """From the first prompt to the last end."""
    line: Sequence[Spread] = field(repr=False)
    """Of the prompts that came in each minute."""

    @property
    def worst_minute_p95(self) -> float | None:
        """The highest p95 of any minute: how steady it was."""
        return max((one.p95 for one in self.line if one.p95 is not None), default=None)

    def as_json(self) -> dict[str, Any]:
        """For programs: milliseconds, dollars, counts."""
        worst = self.worst_minute_p95
        return {
            "prompts": self.prompts,
            "statuses": dict(self.statuses),
            "refusals": dict(self.refusals),
            "latency_ms": self.latency.as_json(),
            "worst_minute_p95_ms": None if worst is None else round(worst),
            "lanes": {name: one.as_json() for name, one in self.lanes.items()},
            "tenants": {name: one.as_json() for name, one in self.tenants.items()},
            "providers": {
                name: {
                    "answered": one.answered,
                    "share": round(one.share, 4),
                    "cost_usd": round(one.cost_usd, 6),
                    "moves_in": one.moves_in,
                    "moves_out": one.moves_out,
                }
                for name, one in self.providers.items()
            },
            "cost_usd": round(self.cost_usd, 6),
            "cost_estimated": self.cost_estimated,
            "cost_unknown": self.cost_unknown,
            "calls": self.calls,
            "moves": self.moves,
            "moved": dict(self.moved),
            "reasons": dict(self.reasons),
            "seconds": round(self.seconds, 3),
            "line_p95_ms": [None if one.p95 is None else round(one.p95) for one in self.line],
        }


def figures_of(outcome: Outcome) -> Figures:
    """Work a replay's figures out."""
    prompts, status = outcome.prompts, outcome.status
    numbers = range(len(prompts))
    done = [number for number in numbers if status[number] == _ANSWERED]
    ms = {number: (outcome.ended[number] - outcome.came[number]) * 1000 for number in done}
    lanes: dict[str, list[float]] = {lane: [] for lane in LANES}
    tenants: dict[str, list[float]] = {}
    minutes: list[list[float]] = [[] for _ in range(int(_last(outcome.came) // STEP_S) + 1)]
    for number in done:
        took = ms[number]
        lanes[LANES[outcome.lane[number]]].append(took)
        tenants.setdefault(prompts[number].prompt.tenant, []).append(took)
        minutes[int(outcome.came[number] // STEP_S)].append(took)
    known = [one for one in outcome.cost if not isnan(one)]
    counts = [status.count(index) for index in range(len(STATUSES))]
    statuses: dict[str, int] = {
        name: count for name, count in zip(STATUSES, counts, strict=True) if count
    }
    if status.count(PENDING):
        statuses["pending"] = status.count(PENDING)
    return Figures(
        prompts=len(prompts),
        statuses=statuses,
        refusals=dict(sorted(outcome.codes.items())),
        latency=spread_of(ms.values()),
        lanes={lane: spread_of(found) for lane, found in lanes.items() if found},
        tenants={name: spread_of(found) for name, found in sorted(tenants.items())},
        providers=_providers(outcome, done),
        cost_usd=sum(known),
        cost_estimated=outcome.estimated,
        cost_unknown=len(outcome.cost) - len(known),
        calls=sum(outcome.calls),
        moves=sum(outcome.moves),
        moved={f"{a} to {b}": count for (a, b), count in sorted(outcome.moved.items())},
        reasons=dict(sorted(outcome.reasons.items())),
        seconds=_last(outcome.ended),
        line=[spread_of(found) for found in minutes],
    )


def _last(times: Sequence[float]) -> float:
    return max(times, default=0.0)


def _providers(outcome: Outcome, done: Sequence[int]) -> dict[str, ProviderFigures]:
    answered = [0] * len(outcome.providers)
    cost = [0.0] * len(outcome.providers)
    for number in done:
        answered[outcome.provider[number]] += 1
    for number, index in enumerate(outcome.provider):
        if index != NOBODY and not isnan(outcome.cost[number]):
            cost[index] += outcome.cost[number]
    return {
        name: ProviderFigures(
            answered=answered[index],
            share=answered[index] / len(done) if done else 0.0,
            cost_usd=cost[index],
            moves_in=sum(n for (_, to), n in outcome.moved.items() if to == name),
            moves_out=sum(n for (before, _), n in outcome.moved.items() if before == name),
        )
        for index, name in enumerate(outcome.providers)
    }
