"""What routing knows of each provider: its workers' reports, and what was sent since they spoke."""

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from broker.records.providers import ProviderState

_GRAIN_S: Final = 0.05
_KEEP_S: Final = 0.05
_UNSEEN_S: Final = 0.1
"""A prompt this young may not have reached the worker yet when it reported."""


class Standing(Enum):
    """How a provider stands, as far as is known."""

    ABLE = "able"
    SILENT = "silent"
    PROBING = "probing"
    OUT = "out"


@dataclass(frozen=True, slots=True)
class Candidate:
    """One provider's figures at the time of a choice. Times are seconds from then."""

    provider: str
    standing: Standing
    wait_s: float = 0.0
    """Expected wait before work sent now begins; 0 while nothing speaks against it."""
    probe_in_s: float = math.inf
    probe_free: bool = False
    """Probing, and nothing is there or on its way that could be the probe."""
    waiting_weight: float = 0.0
    speed: float | None = None
    in_flight: int = 0
    slots: int = 0
    age_s: float | None = None
    """Age of the newest report; None when there never was one."""

    @property
    def figures(self) -> str:
        """In words, with figures, to follow the provider's name."""
        if self.standing is Standing.SILENT:
            return "never reported" if self.age_s is None else f"silent for {self.age_s:.1f} s"
        if self.standing is Standing.PROBING:
            return "is being tried again"
        if self.standing is Standing.OUT:
            return f"has its breaker open for {self.probe_in_s:.1f} s"
        if self.age_s is None:
            return "has not reported yet"
        return f"waits {self.wait_s:.1f} s"


class OwnDecisions:
    """What this process sent to each provider lately, so that a burst between reports is seen."""

    __slots__ = ("_horizon_s", "_sent")

    def __init__(self, horizon_s: float = 30.0) -> None:
        self._horizon_s = horizon_s
        self._sent: dict[str, deque[tuple[float, float, int]]] = {}

    def sent(self, provider: str, weight: float, now: float) -> None:
        """Take note of a decision."""
        queue = self._sent.setdefault(provider, deque())
        if queue and now - queue[-1][0] < _GRAIN_S:
            at, before, count = queue[-1]
            queue[-1] = (at, before + weight, count + 1)
            return
        queue.append((now, weight, 1))
        while queue[0][0] < now - self._horizon_s:
            queue.popleft()

    def since(self, provider: str, reported_at: float) -> tuple[float, int]:
        """Weight and number of prompts sent that a report of this time cannot have counted."""
        weight, count = 0.0, 0
        for at, sent, prompts in reversed(self._sent.get(provider, ())):
            if at + _GRAIN_S < reported_at - _UNSEEN_S:
                break
            weight += sent
            count += prompts
        return weight, count


def candidate_of(
    provider: str,
    reports: Iterable[ProviderState],
    own: OwnDecisions,
    *,
    now: float,
    observing_since: float,
    silent_after_s: float = 10.0,
) -> Candidate:
    """Put a provider's reports and our own decisions together.

    One is silent when its newest report is older than `silent_after_s`, or when there never was one
    in that long since we began to look; younger than that, without a report, it counts as able.
    """
    known = list(reports)
    newest = max((report.at for report in known), default=None)
    if newest is None:
        young = now - observing_since <= silent_after_s
        return Candidate(provider, Standing.ABLE if young else Standing.SILENT)
    age = max(0.0, now - newest)
    fresh = [report for report in known if now - report.at <= silent_after_s]
    if not fresh:
        return Candidate(provider, Standing.SILENT, age_s=age)
    weight, count = own.since(provider, min(report.at for report in fresh))
    working = [report for report in fresh if report.breaker == "closed"]
    waiting = sum(report.waiting_weight for report in fresh) + weight
    in_flight = sum(report.in_flight for report in fresh)
    slots = sum(report.slots for report in fresh)
    if not working:
        probe_in = min(_probe_in(report, now) for report in fresh)
        return Candidate(
            provider,
            Standing.PROBING if probe_in <= 0 else Standing.OUT,
            probe_in_s=probe_in,
            probe_free=probe_in <= 0 and waiting <= 0 and not in_flight,
            waiting_weight=waiting,
            in_flight=in_flight,
            slots=slots,
            age_s=age,
        )
    speeds = [report.speed for report in working if report.speed]
    # A worker that has not measured its speed yet is taken to be like the others.
    speed = sum(speeds) / len(speeds) * len(working) if speeds else None
    idle = waiting - weight <= 0 and in_flight + count < slots
    wait = 0.0 if idle or speed is None else waiting / speed
    return Candidate(
        provider,
        Standing.ABLE,
        wait_s=wait,
        waiting_weight=waiting,
        speed=speed,
        in_flight=in_flight,
        slots=slots,
        age_s=age,
    )


def _probe_in(report: ProviderState, now: float) -> float:
    if report.breaker == "half_open":
        return 0.0
    return math.inf if report.opens_again_at is None else max(0.0, report.opens_again_at - now)


class ProviderView:
    """All providers as one router sees them; made anew only where something has changed."""

    __slots__ = ("_made", "_observing_since", "_own", "_reports", "_silent_after_s")

    def __init__(self, observing_since: float, silent_after_s: float = 10.0) -> None:
        self._observing_since = observing_since
        self._silent_after_s = silent_after_s
        self._own = OwnDecisions()
        self._reports: dict[str, Sequence[ProviderState]] = {}
        self._made: dict[str, tuple[float, Candidate]] = {}

    def update(self, reports: Mapping[str, Sequence[ProviderState]]) -> None:
        """Take the latest report of every worker, by provider. Cheap when nothing has changed."""
        for provider, states in reports.items():
            latest = tuple(states)
            if self._reports.get(provider) != latest:
                self._reports[provider] = latest
                self._made.pop(provider, None)

    def sent(self, provider: str, weight: float, now: float) -> None:
        """Take note of a decision of ours."""
        self._own.sent(provider, weight, now)
        self._made.pop(provider, None)

    def candidates(self, providers: Iterable[str], now: float) -> tuple[Candidate, ...]:
        """Figures of these providers, in their order."""
        found = []
        for provider in providers:
            made = self._made.get(provider)
            if made is None or not 0 <= now - made[0] <= _KEEP_S:
                made = (now, self._candidate(provider, now))
                self._made[provider] = made
            found.append(made[1])
        return tuple(found)

    def _candidate(self, provider: str, now: float) -> Candidate:
        return candidate_of(
            provider,
            self._reports.get(provider, ()),
            self._own,
            now=now,
            observing_since=self._observing_since,
            silent_after_s=self._silent_after_s,
        )
