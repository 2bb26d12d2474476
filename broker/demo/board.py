"""What the live table shows: completions and provider states folded as they come."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from broker.core.lane_wait import lane_wait
from broker.core.lanes import LANES, Lane
from broker.records.completion import Completion
from broker.records.providers import ProviderState

RECENT = 400
"""Latencies kept for the quantiles of a cell; a demonstration has some hundred prompts in each."""


@dataclass(slots=True)
class Cell:
    """One provider's lane. Latencies are seconds from acceptance to completion."""

    done: int = 0
    latencies: list[float] = field(default_factory=list)

    def add(self, seconds: float) -> None:
        """Take note of a completion."""
        self.done += 1
        self.latencies.append(seconds)
        del self.latencies[:-RECENT]

    def quantile(self, share: float) -> float | None:
        """A latency quantile, or None while nothing is done."""
        if not self.latencies:
            return None
        ordered = sorted(self.latencies)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    provider: str
    lane: str
    breaker: str
    waiting: int
    in_flight: int
    done: int
    p50: float | None
    p95: float | None
    starts_in: float | None = None
    """Seconds until what comes now is expected to start; None where nothing was measured yet."""


@dataclass(frozen=True, slots=True)
class TenantRow:
    """One tenant's line: how many are done, and how long they took from acceptance (seconds)."""

    tenant: str
    done: int
    p50: float | None
    p95: float | None


class Board:
    """All that is known so far. Not thread-safe: one thread folds and draws."""

    def __init__(self, providers: Iterable[str]) -> None:
        self._providers = tuple(providers)
        self._cells: defaultdict[tuple[str, str], Cell] = defaultdict(Cell)
        self._tenants: defaultdict[str, Cell] = defaultdict(Cell)
        self._states: dict[str, list[ProviderState]] = {}
        self.statuses: Counter[str] = Counter()
        self.moves: Counter[tuple[str, str]] = Counter()
        self.move_reasons: dict[tuple[str, str], str] = {}
        """The newest sentence of why work went from one provider to another."""
        self.ids: set[str] = set()
        self.lanes: Counter[str] = Counter()
        self.elsewhere: Counter[str] = Counter()
        """By lane: prompts that the classifier sent to another provider than the preferred one."""
        self.reasons: dict[tuple[str, str], str] = {}
        """By lane and provider: the newest sentence of why a prompt went there at once."""

    def completed(self, completion: Completion) -> None:
        """Fold one completion."""
        self.ids.add(completion.id)
        self.statuses[completion.status] += 1
        self.lanes[completion.lane] += 1
        if completion.route and completion.route[0].provider != self._providers[0]:
            first = completion.route[0]
            self.elsewhere[completion.lane] += 1
            self.reasons[completion.lane, first.provider] = first.reason
        cell = self._cells[completion.provider, completion.lane]
        seconds = max(0.0, completion.completed_at - completion.accepted_at)
        cell.add(seconds)
        self._tenants[completion.tenant].add(seconds)
        for before, after in zip(completion.route, completion.route[1:], strict=False):
            self.moves[before.provider, after.provider] += 1
            self.move_reasons[before.provider, after.provider] = after.reason

    def states(self, states: Mapping[str, list[ProviderState]]) -> None:
        """Take the newest provider states."""
        self._states = dict(states)

    @property
    def done(self) -> int:
        """Completions so far."""
        return sum(self.statuses.values())

    def tenants(self) -> list[TenantRow]:
        """One row for each tenant, by name."""
        return [
            TenantRow(tenant, cell.done, cell.quantile(0.50), cell.quantile(0.95))
            for tenant, cell in sorted(self._tenants.items())
        ]

    def rows(self) -> list[Row]:
        """One row for each provider and lane that has or had work."""
        rows: list[Row] = []
        for provider in self._providers:
            states = self._states.get(provider, [])
            breaker = next((s.breaker for s in states if s.breaker != "closed"), "closed")
            for lane in LANES:
                cell = self._cells.get((provider, lane))
                waiting = sum(s.waiting_by_lane.get(lane, 0) for s in states)
                in_flight = sum(s.in_flight_by_lane.get(lane, 0) for s in states)
                if cell is None and not waiting and not in_flight:
                    continue
                shown = cell or Cell()
                rows.append(
                    Row(
                        provider,
                        lane,
                        breaker if states else "no worker",
                        waiting,
                        in_flight,
                        shown.done,
                        shown.quantile(0.50),
                        shown.quantile(0.95),
                        _starts_in(states, lane),
                    )
                )
        return rows


def _starts_in(states: Sequence[ProviderState], lane: Lane) -> float | None:
    """As routing expects it of all workers together: behind what waits in this and other lanes."""
    speeds = [state.speed for state in states if state.breaker == "closed" and state.speed]
    if not speeds:
        return None
    waiting = [
        float(sum(state.waiting_weight_by_lane.get(one, 0) for state in states)) for one in LANES
    ]
    return lane_wait(waiting, lane, sum(speeds))
