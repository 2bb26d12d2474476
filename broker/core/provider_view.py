"""What routing knows of each provider: its workers' reports, and what was sent since they spoke.

What is not known is not taken for free: a report that is old counts for nothing, a worker that has
not measured its speed is taken to have a modest one, and a provider that has just come back is
taken to be slow at first, so that it gets its work little by little.
"""

from collections.abc import Iterable, Mapping, Sequence
from operator import is_

from broker.core.candidates import Candidate, Standing
from broker.core.lane_wait import PLACE, lane_wait
from broker.core.lanes import Lane
from broker.core.own_decisions import OwnDecisions
from broker.core.provider_facts import Facts, facts_of
from broker.records.providers import ProviderState

__all__ = ["Candidate", "OwnDecisions", "ProviderView", "Standing"]


class ProviderView:
    """All providers as one router sees them; made anew only where something has changed.

    `share` is the part of all routers' decisions that is made here: what was sent since a report is
    multiplied accordingly, as the others see the same reports and do the same.
    """

    __slots__ = (
        "_known",
        "_made",
        "_observing_since",
        "_own",
        "_reports",
        "_silent_after_s",
        "share",
    )

    def __init__(self, observing_since: float, silent_after_s: float = 10.0) -> None:
        self._observing_since = observing_since
        self._silent_after_s = silent_after_s
        self._own = OwnDecisions()
        self._reports: dict[str, Sequence[ProviderState]] = {}
        self._known: dict[str, tuple[Facts, list[float], int]] = {}
        self._made: dict[str, dict[Lane | None, Candidate]] = {}
        self.share = 1.0

    def update(self, reports: Mapping[str, Sequence[ProviderState]]) -> None:
        """Take the latest report of every worker, by provider. Cheap when nothing has changed."""
        for provider, states in reports.items():
            before = self._reports.get(provider)
            if states is not before and not _same(before, states):
                self._reports[provider] = tuple(states)
                self._known.pop(provider, None)

    def sent(self, provider: str, weight: float, now: float, lane: Lane = "light") -> None:
        """Take note of a decision of ours; below zero: of what leaves the provider."""
        self._own.sent(provider, weight, now, lane)
        known = self._known.get(provider)
        if known is not None:
            facts, weights, count = known
            weights[PLACE[lane]] += weight
            self._known[provider] = (facts, weights, count + (1 if weight > 0 else -1))
        self._made.pop(provider, None)

    def candidates(
        self, providers: Iterable[str], now: float, lane: Lane | None = None
    ) -> tuple[Candidate, ...]:
        """Figures of these providers, in their order, for a prompt of this lane (None: any)."""
        found = []
        scale = 1.0 / self.share if 0.0 < self.share < 1.0 else 1.0
        for provider in providers:
            known = self._known.get(provider)
            if known is None or not known[0].holds_at(now):
                facts = facts_of(
                    self._reports.get(provider, ()),
                    now=now,
                    observing_since=self._observing_since,
                    silent_after_s=self._silent_after_s,
                )
                known = (facts, *self._own.by_lane(provider, facts.since))
                self._known[provider] = known
                self._made.pop(provider, None)
            made = self._made.get(provider)
            if made is None:
                made = self._made[provider] = {}
            one = made.get(lane)
            if one is None:
                facts, sent, count = known
                if scale != 1.0:
                    sent, count = [weight * scale for weight in sent], int(count * scale)
                one = made[lane] = _candidate(provider, facts, sent, count, lane)
            found.append(one)
        return tuple(found)


def _same(before: Sequence[ProviderState] | None, states: Sequence[ProviderState]) -> bool:
    """Whether these are the same reports; each is one object for as long as it is the latest."""
    if before is None or len(before) != len(states):
        return False
    return all(map(is_, before, states))


def _candidate(
    provider: str, facts: Facts, sent: Sequence[float], count: float, lane: Lane | None
) -> Candidate:
    light, medium, heavy, batch = facts.waiting
    reported = light + medium + heavy + batch + facts.unsplit
    waiting = max(0.0, reported + sent[0] + sent[1] + sent[2] + sent[3])
    if facts.standing in (Standing.PROBING, Standing.OUT):
        return Candidate(
            provider,
            facts.standing,
            probe_in_s=facts.probe_in_s,
            probe_free=facts.probe_in_s <= 0 and waiting <= 0 and not facts.in_flight,
            waiting_weight=waiting,
            in_flight=facts.in_flight,
            slots=facts.slots,
            age_s=facts.age_s,
        )
    if facts.standing is Standing.SILENT:
        return Candidate(provider, Standing.SILENT, age_s=facts.age_s)
    ahead = light + facts.unsplit if lane == "light" else reported
    if ahead <= 0 and facts.in_flight + count < facts.open_slots:
        wait = 0.0
    elif lane is None:
        wait = waiting / facts.taken_speed
    else:
        weights = [
            max(0.0, light + sent[0]),
            max(0.0, medium + sent[1]),
            max(0.0, heavy + sent[2]),
            max(0.0, batch + sent[3]),
        ]
        weights[PLACE[lane]] += facts.unsplit
        wait = lane_wait(weights, lane, facts.taken_speed)
    return Candidate(
        provider,
        Standing.ABLE,
        wait,
        waiting_weight=waiting,
        speed=facts.speed,
        in_flight=facts.in_flight,
        slots=facts.slots,
        age_s=facts.age_s,
        calls=facts.calls or {},
        late=1.0 if lane is None else facts.late[PLACE[lane]],
    )
