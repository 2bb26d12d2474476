"""The seeded histories of the pipeline, with a tenant's budget: kept through kills and zombies.

Two classifiers that share a budget are robbed, killed, put to sleep through a rebalance and left
without knowing how their commits ended; they read the ledger late, and what a sleeper lends comes
when its partitions are another's. Never is more let in than the budget, every prompt still ends
exactly once, and each that was let in is in the ledger exactly once.
"""

import random
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final, cast

import pytest

from broker.classifier.tenant_books import TenantBooks
from broker.core.dedupe import DedupeWindow
from broker.core.tenant_limits import Refused, TenantLimits, TenantTerms
from broker.records.tenants import Entry, Line
from tests.core.kafka_model import Broker, Place
from tests.core.process_model import COMPLETIONS, PROMPTS, WORK, Parts, Process, Value
from tests.core.test_histories import GROUPS, History

LEDGER: Final[Place] = ("tenants", 0)
BUDGET: Final = 8
LIMITS: Final = TenantLimits(day=(BUDGET, None, None))
TERMS: Final = TenantTerms(limits={"acme": LIMITS})
NOW: Final = 1_795_000_000.0
REFUSED: Final = -1
"""Stands for the moves of a completion that no work came before."""
HISTORIES: Final = 160
BLOCKS: Final = 2


@dataclass
class Limited(Process):
    """A process whose classifying asks the real books."""

    waits_for_its_claim: bool = True
    reads: float = 0.5
    """How much of its time it spends with the ledger."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.books = TenantBooks(len(PROMPTS), TERMS)
        self.ledger_at = 0

    def assign(self, places: set[Place], generation: int, *, lost: bool) -> None:
        """As Faust does it: everything is given back before anything is assigned."""
        if self.group != "classifier":
            super().assign(places, generation, lost=lost)
            return
        super().assign(set(), generation, lost=lost)
        super().assign(places, generation, lost=lost)
        self.books.owns(frozenset(number for _, number in places))
        self.broker.append(LEDGER, self.books.claim)

    def step(self) -> None:
        if self.group == "classifier" and self.drawn.random() < self.reads:
            self.read_ledger()
            if self.drawn.random() < 0.2:
                for line in self.books.lend(NOW):
                    self.met["lent"] += 1
                    self.broker.append(LEDGER, line)
            return
        super().step()

    def read_ledger(self) -> None:
        for _ in range(self.drawn.randrange(4)):
            self.ledger_at, offset, line = self.broker.read(LEDGER, self.ledger_at)
            if offset is not None:
                self.books.read(offset, line)

    def poll(self) -> None:
        if self.group == "classifier" and self.waits_for_its_claim and not self.books.settled:
            self.met["waits for its claim"] += 1
            return
        super().poll()

    def classify(
        self, place: Place, offset: int, value: Value, window: DedupeWindow
    ) -> tuple[tuple[Place, Value], ...]:
        outputs = super().classify(place, offset, value, window)
        if not outputs or outputs[0][0] not in WORK:
            return outputs
        ((_, routed),) = outputs
        found = self.books.admit("acme", LIMITS, (1.0, 0.0, 0.0), NOW, NOW)
        if isinstance(found, Refused):
            self.met["refused"] += 1
            return ((COMPLETIONS[0], routed._replace(moves=REFUSED)),)
        at, part = found
        source = (place[1], offset)
        self.books.charge(source, "acme", part, at, (1.0, 0.0, 0.0))
        entry = Entry("acme", "charge", part, at, 1.0, 0.0, 0.0, str(routed.identity), source)
        return (*outputs, (LEDGER, cast("Value", entry)))


class LimitedHistory(History):
    """A history whose classifiers keep a budget."""

    def __init__(self, seed: int, **how: Any) -> None:
        self.how = how
        self.drawn = random.Random(seed)
        self.parts = Parts()
        self.broker = Broker([*PROMPTS, *WORK, *COMPLETIONS, LEDGER], GROUPS)
        self.accepted: set[str] = set()
        self.asked: list[str] = []
        self.processes: dict[str, Process] = {}
        for group in GROUPS:
            for slot in range(2):
                self.start(group, f"{group}-{slot}")
            self.rebalance(group)

    def start(self, group: str, name: str) -> None:
        self.processes[name] = Limited(
            self.broker, group, name, self.drawn, self.parts, self.asked, **self.how
        )

    def charged(self) -> list[str]:
        lines: list[Line] = [line for _, line in self.broker.visible(LEDGER)]
        return [line.prompt for line in lines if isinstance(line, Entry)]

    def judge(self) -> None:
        super().judge()
        charged = self.charged()
        assert len(charged) <= BUDGET, f"{len(charged)} were let in"
        assert len(charged) == len(set(charged)), "charged twice"
        ends = {value.identity: value for _, value in self.broker.visible(COMPLETIONS[0])}
        done = {one for one, value in ends.items() if value.moves >= 0 and not value.cancelled}
        assert done <= set(charged), "answered, and not charged"
        assert not any(ends[one].moves == REFUSED for one in charged), "charged, and refused"


@pytest.mark.parametrize("block", range(BLOCKS))
def test_a_budget_is_kept_and_every_prompt_ends_once(block: int) -> None:
    for seed in range(block * HISTORIES // BLOCKS, (block + 1) * HISTORIES // BLOCKS):
        try:
            LimitedHistory(seed).run()
        except AssertionError as error:
            raise AssertionError(f"history {seed}: {error}") from error


def test_the_histories_meet_what_they_are_made_for() -> None:
    met: Counter[str] = Counter()
    full = 0
    for seed in range(60):
        history = LimitedHistory(seed)
        history.run()
        full += len(history.charged()) >= BUDGET - 1
        for process in history.processes.values():
            met += process.met
    assert full > 12
    assert {"refused", "lent", "waits for its claim", "fenced", "same"} <= set(met)


def test_the_histories_notice_who_does_not_wait_for_its_claim() -> None:
    for seed in range(400):
        try:
            LimitedHistory(seed, waits_for_its_claim=False, reads=0.05).run()
        except AssertionError:
            return
    pytest.fail("400 histories did not notice")
