"""What the reports of one provider's workers say together. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Final

from broker.core.candidates import Standing
from broker.core.expected_time import ANY
from broker.core.lane_wait import PLACE
from broker.core.lanes import LANES
from broker.records.providers import ProviderState

_UNMEASURED: Final = 200.0
"""Token units a second of a slot that has no measured speed: a slow one."""
_UNSEEN_SLOTS: Final = 32
"""Calls at once of a provider that has not reported: what its worker begins with."""
RAMP_S: Final = 15.0
"""So long after its breaker closed a provider gets less than it could do."""
_RAMP_FROM: Final = 0.1
_KEEP_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Facts:
    """A provider at a time; weights by lane, in token units, in the order of LANES."""

    standing: Standing
    made_at: float
    holds_until: float = 0.0
    """Until then nothing of it changes by time alone, but for the age."""
    since: float = 0.0
    """Of what was sent from here on, the reports know nothing."""
    probe_in_s: float = inf
    waiting: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)
    unsplit: float = 0.0
    """Waiting weight of reports that do not say which lane it is in."""
    in_flight: int = 0
    slots: int = 0
    open_slots: float = 0.0
    """Slots that may be thought of as free for it: fewer than there are after an outage."""
    speed: float | None = None
    taken_speed: float = 0.0
    """What it is taken to do: the measured speed or a modest one, and less after an outage."""
    age_s: float | None = None
    calls: Mapping[str, tuple[float, float]] | None = None
    late: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0)

    def holds_at(self, now: float) -> bool:
        """Whether it need not be made anew: nothing has changed, or it was made just now."""
        made_at = self.made_at
        return made_at <= now < self.holds_until or 0 <= now - made_at <= _KEEP_S


def facts_of(
    reports: Sequence[ProviderState], *, now: float, observing_since: float, silent_after_s: float
) -> Facts:
    """One is silent when its newest report is too old, or never came in all that time."""
    if not reports:
        if now - observing_since > silent_after_s:
            return Facts(Standing.SILENT, now)
        return Facts(
            Standing.ABLE,
            now,
            since=observing_since,
            open_slots=_UNSEEN_SLOTS,
            taken_speed=_UNSEEN_SLOTS * _UNMEASURED,
        )
    age = max(0.0, now - max(report.at for report in reports))
    fresh = [report for report in reports if now - report.at <= silent_after_s]
    if not fresh:
        return Facts(Standing.SILENT, now, age_s=age)
    working = [report for report in fresh if report.breaker == "closed"]
    waiting, unsplit = _waiting(fresh)
    slots = sum(report.slots for report in fresh)
    in_flight = sum(report.in_flight for report in fresh)
    since = min(report.at for report in fresh)
    if not working:
        probe_in = min(_probe_in(report, now) for report in fresh)
        standing = Standing.PROBING if probe_in <= 0 else Standing.OUT
        return Facts(
            standing,
            now,
            since=since,
            probe_in_s=probe_in,
            waiting=waiting,
            unsplit=unsplit,
            in_flight=in_flight,
            slots=slots,
            age_s=age,
        )
    speeds = [report.speed for report in working if report.speed]
    # A worker that has not measured its speed yet is taken to be like the others.
    usual = sum(speeds) / len(speeds) if speeds else None
    ramps = [_ramp(report, now) for report in working]
    each = [
        (report.speed or usual or _UNMEASURED * max(1, report.slots)) * ramp
        for report, ramp in zip(working, ramps, strict=True)
    ]
    steady = len(working) == len(reports) and min(ramps) >= 1.0
    return Facts(
        Standing.ABLE,
        now,
        since + silent_after_s if steady else 0.0,
        since,
        waiting=waiting,
        unsplit=unsplit,
        in_flight=in_flight,
        slots=slots,
        open_slots=sum(r.slots * ramp for r, ramp in zip(working, ramps, strict=True)),
        speed=None if usual is None else usual * len(working),
        taken_speed=sum(each),
        age_s=age,
        calls=_calls(working),
        late=_late(working),
    )


def _waiting(reports: Iterable[ProviderState]) -> tuple[tuple[float, ...], float]:
    lanes, unsplit = [0.0, 0.0, 0.0, 0.0], 0.0
    for report in reports:
        split = report.waiting_weight_by_lane
        if not split:
            unsplit += report.waiting_weight
            continue
        for lane in LANES:
            lanes[PLACE[lane]] += split.get(lane, 0)
    return tuple(lanes), unsplit


def _calls(reports: Sequence[ProviderState]) -> Mapping[str, tuple[float, float]]:
    """The mean of what the workers measured, by model."""
    if len(reports) == 1:
        return {model: (line[0], line[1]) for model, line in reports[0].calls_take.items()}
    models = {model for report in reports for model in report.calls_take} | {ANY}
    found = {}
    for model in models:
        lines = [r.calls_take[model] for r in reports if model in r.calls_take]
        if lines:
            firsts, eaches = zip(*lines, strict=True)
            found[model] = (sum(firsts) / len(lines), sum(eaches) / len(lines))
    return found


def _late(reports: Sequence[ProviderState]) -> tuple[float, ...]:
    return tuple(
        sum(report.late_by_lane.get(lane, 1.0) for report in reports) / len(reports)
        for lane in LANES
    )


def _ramp(report: ProviderState, now: float) -> float:
    """The part of its speed that a worker is taken to have after an outage."""
    if report.back_at is None:
        return 1.0
    age = max(0.0, now - report.back_at)
    return min(1.0, _RAMP_FROM + (1 - _RAMP_FROM) * age / RAMP_S)


def _probe_in(report: ProviderState, now: float) -> float:
    if report.breaker == "half_open":
        return 0.0
    return inf if report.opens_again_at is None else max(0.0, report.opens_again_at - now)
