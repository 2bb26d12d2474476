"""Seeded histories of a whole deployment of the real pure parts, with all that can happen at once.

Prompts of tenants with limits come in bursts, wait at the door or are refused, are weighed while
the lanes' thresholds change, move between three providers, and are cancelled, while classifiers
and workers are killed, robbed, put to sleep through a rebalance, and left without knowing how their
commits ended. Then it has to end: each prompt once, no budget passed, nothing back and forth.
"""

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from broker.classifier.door import Admitted
from broker.classifier.tenant_door import TenantDoor
from broker.core.ageing import HEAD_START_S
from broker.core.routing import Decision
from broker.log.units import Unit
from tests.core.history_model import History
from tests.core.process_model import Parts
from tests.core.site_classifier import SiteClassifier, SiteProcess
from tests.core.site_model import COMPLETIONS, GROUPS, LEDGER, OTHERS, PROVIDERS, TENANTS, Site
from tests.core.site_verdict import Found
from tests.core.site_worker import SiteWorker
from workers.dispatch import Dispatcher
from workers.endings import Endings
from workers.job import Job
from workers.moving import Mover

HISTORIES = 100
BLOCKS = 5


@dataclass
class How:
    """What classifiers and workers are made of; sabotaged ones show that the verdict notices."""

    classifier: dict[str, Any] = field(default_factory=dict)
    worker: dict[str, Any] = field(default_factory=dict)


class SiteHistory(History):
    def __init__(self, seed: int, how: How | None = None) -> None:
        self.how = how or How()
        self.site: Site | None = None
        self.parts = Parts()
        self.met: Counter[str] = Counter()
        slots = {"classifier": 2, **dict.fromkeys(PROVIDERS, 1), PROVIDERS[0]: 2}
        super().__init__(seed, OTHERS, GROUPS, slots)
        assert self.site is not None

    def started(self, group: str, name: str) -> SiteProcess:
        if self.site is None:
            self.site = Site(self.drawn, self.broker)
        given = (self.broker, group, name, self.drawn, self.parts)
        if group == "classifier":
            of = {**self.how.classifier}
            made: type[SiteClassifier] = of.pop("made", SiteClassifier)
            return made(*given, site=self.site, met=self.met, **of)
        return SiteWorker(*given, site=self.site, met=self.met, **self.how.worker)

    def shake(self, fate: float) -> bool:
        site, drawn = self.site, self.drawn
        assert site is not None
        if fate < 0.04:
            tenant = drawn.choice(TENANTS)
            self.accepted |= {site.ask(tenant) for _ in range(drawn.randint(1, 6))}
        elif fate < 0.06:
            site.cancel()
        elif fate < 0.07:
            site.set_lanes()
        elif fate < 0.08:
            site.wait(drawn.choice((5.0, 61.0)))
        elif fate < 0.09:
            self.kill()
        elif fate < 0.10:
            self.rebalance(drawn.choice(sorted(GROUPS)))
        elif fate < 0.11:
            self.zombie()
        else:
            return False
        return True

    def completed(self) -> list[str]:
        return [
            record.key.decode() for place in COMPLETIONS for _, record in self.broker.visible(place)
        ]

    def judge(self) -> None:
        super().judge()
        assert self.site is not None
        Found(self.broker).judge(self.site)

    def whole(self) -> "SiteHistory":
        self.run(300, 500)
        return self


MADE_FOR = {
    "routed",
    "forwarded",
    "duplicate",
    "decided again",
    "decided again into another lane",
    "has to wait at the door",
    "rate_limited",
    "budget_exhausted",
    "lent",
    "waits for its claim",
    "lanes proposed",
    "lanes changed",
    "moved twice",
    "left, being behind",
    "moves_spent",
    "expired in its line",
    "cancelled",
    "cancelled before its call",
    "cancelled in its line",
    "cancelled under way",
    "fenced",
    "gone before its offsets were sent",
    "unknown, was committed",
    "unknown, was not committed",
}


@pytest.mark.parametrize("block", range(BLOCKS))
def test_everything_at_once_ends_once_and_within_its_limits(block: int) -> None:
    for seed in range(block * HISTORIES // BLOCKS, (block + 1) * HISTORIES // BLOCKS):
        try:
            SiteHistory(seed).whole()
        except AssertionError as error:
            raise AssertionError(f"history {seed}: {error}") from error


def test_the_histories_meet_what_they_are_made_for() -> None:
    missing = set(MADE_FOR)
    for seed in range(HISTORIES):
        missing -= set(+SiteHistory(seed).whole().met)
        if not missing:
            return
    pytest.fail(f"never met: {missing}")


class Uncounted(TenantDoor):
    """Hears of a charge only from the ledger, and not when it lets a prompt in."""

    def routed(self, *_given: object) -> None:
        pass


class Unwritten(TenantDoor):
    """Counts, and writes nothing into the ledger."""

    def admit(self, *given: Any) -> Any:
        found = super().admit(*given)
        return replace(found, charges=()) if isinstance(found, Admitted) else found


class WritesAside(SiteClassifier):
    """Writes its charges at once, and not in the transaction that routes the prompt."""

    def produce(self, place: Any, value: Any) -> None:
        if place == LEDGER:
            self.broker.append(place, value)
        else:
            super().produce(place, value)


class Early(Dispatcher):
    """Starts a prompt whose time at the door has not come."""

    def add(self, item: Job, now: float) -> None:
        super().add(item, max(now, item.not_before or now))


class LastFirst(Dispatcher):
    """Lets go first what came last."""

    def _queue(self, item: Job, now: float) -> None:
        self._counts[item.lane] += 1
        self._queues[item.lane].add(item, -now)


class Urgent(Dispatcher):
    """Takes the time at which a prompt was read for that at which it was accepted."""

    def _queue(self, item: Job, now: float) -> None:
        self._counts[item.lane] += 1
        self._queues[item.lane].add(item, now + HEAD_START_S)


class Lighter(Endings):
    """Finds a new lane for what moves."""

    def moved(self, job: Job, chosen: Decision, now: float) -> Unit:
        return super().moved(replace(job, lane="light"), chosen, now)


class Uncorrected(Endings):
    """Leaves the charge as it was."""

    def completed(self, *given: Any) -> Unit:
        unit = super().completed(*given)
        return replace(unit, outputs=unit.outputs[:1])


class ComesBack(Mover):
    """Forgets where a prompt has been."""

    def choose(self, job: Job, *given: Any) -> Any:
        here = replace(job.work, route=job.work.route[-1:])
        return super().choose(replace(job, work=here), *given)


class Restless(Mover):
    """Does not count moves."""

    def __init__(self, **given: Any) -> None:
        terms = given["terms"]
        more = replace(terms, rules=replace(terms.rules, max_moves=9))
        super().__init__(**{**given, "terms": more})


@pytest.mark.parametrize(
    ("sabotaged", "noticed"),
    [
        (How({"waits_for_its_claim": False, "reads": 0.05}), "of a budget|in a minute"),
        (How({"door": Uncounted}), "of a budget|in a minute"),
        (How({"door": Unwritten}), "not charged"),
        (How({"made": WritesAside}), "charged"),
        (How(worker={"room": Early}), "before its time"),
        (How(worker={"room": LastFirst}), "out of order"),
        (How(worker={"room": Urgent}), "out of order"),
        (How(worker={"endings": Lighter}), "another lane"),
        (How(worker={"endings": Uncorrected}), "another use"),
        (How(worker={"mover": ComesBack}), "came back"),
        (How(worker={"mover": Restless}), "moved on"),
    ],
    ids=[
        *("claims", "uncounted", "unwritten", "written-aside", "early", "last-first"),
        *("by-reading", "lighter", "uncorrected", "comes-back", "restless"),
    ],
)
def test_the_verdict_notices_broken_promises(sabotaged: How, noticed: str) -> None:
    """An oracle without teeth proves nothing: each of these fails within some histories."""
    for seed in range(60):
        try:
            SiteHistory(seed, sabotaged).whole()
        except AssertionError as error:
            told = str(error)
            break
    else:
        pytest.fail("60 histories did not notice")
    assert re.search(noticed, told), told
