"""A classifier of the real pure parts: decisions, lanes that change, the tenants' door."""

from collections.abc import Callable
from dataclasses import dataclass

from broker.classifier.decide import Decider
from broker.classifier.identity import identifier
from broker.classifier.router import Router
from broker.classifier.tenant_books import TenantBooks
from broker.classifier.tenant_costs import ExpectedCosts
from broker.classifier.tenant_door import TenantDoor
from broker.classifier.weighing import Weigher
from broker.core.cancels import Cancels
from broker.core.dedupe import DedupeWindow, home_partition
from broker.core.lane_fitting import LaneFitting
from broker.core.lanes_in_force import LanesInForce
from broker.core.provider_view import ProviderView
from broker.core.sharding import TenantShards
from broker.records.control import decode_control
from broker.records.incoming import InputRecord
from broker.records.lane_change import decode_lane_change, encode_lane_change
from broker.records.tenants import decode_line, encode_line
from broker.records.work import decode_work
from tests.core.kafka_model import Place
from tests.core.process_model import Process, Unit
from tests.core.site_model import (
    CATALOG,
    CONTROL,
    LEDGER,
    PLAN,
    PROMPTS,
    RULES,
    TERMS,
    Rec,
    Site,
    counted,
)

IDENTIFY = identifier(CATALOG)


@dataclass(kw_only=True)
class SiteProcess(Process):
    """What classifiers and workers have: the site, and what they heard of its control topic."""

    site: Site
    control_at: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.cancels = Cancels()

    def steps(self) -> list[Callable[[], None]]:
        self.site.wait(self.drawn.random() * 0.2)
        return [*super().steps(), self.hear]

    def poll(self) -> None:
        for _ in range(self.drawn.randint(1, 6)):
            super().poll()

    def produce(self, place: Place, value: Rec) -> None:
        super().produce(place, value._replace(at=self.site.now))

    def hear(self) -> None:
        """Read on in the control topic."""
        self.control_at, offset, record = self.broker.read(CONTROL, self.control_at)
        if offset is None:
            return
        asked = decode_control(record.value)
        if asked is None:
            self.control(record)
        else:
            self.cancels.note(asked.id, record.at)
            self.cancelled(asked.id)

    def control(self, record: Rec) -> None:
        """Something other than a cancel was heard."""

    def cancelled(self, identity: str) -> None:
        """A cancel was heard."""


@dataclass(kw_only=True)
class SiteClassifier(SiteProcess):
    """`books` and `door` are the real ones, or sabotaged."""

    door: type[TenantDoor] = TenantDoor
    waits_for_its_claim: bool = True
    reads: float = 0.4
    """How much of its time it spends with the ledger."""

    def __post_init__(self) -> None:
        super().__post_init__()
        now = self.site.now
        self.books = TenantBooks(len(PROMPTS), TERMS)
        fitting = LaneFitting(0.3, 0.3, 1_800.0, now)
        self.lanes = LanesInForce(PLAN, fitting)
        for weight in self.site.earlier:
            self.lanes.began(weight, "light", now)
        self.view = ProviderView(now)
        self.view.share = 0.5
        self.decider = Decider(
            RULES,
            Weigher(RULES, counted, thresholds=self.lanes),
            Router(RULES, self.view),
            self.door(LEDGER[0], self.books, ExpectedCosts({}, lambda _model: None)),
            TenantShards(now),
            cancels=self.cancels,
        )
        self.ledger_at = 0
        self.windows: dict[Place, DedupeWindow] = {}
        self.lane_of: dict[str, str] = {}

    def steps(self) -> list[Callable[[], None]]:
        if self.drawn.random() < self.reads:
            return [*[self.read_ledger] * 4, self.lend, self.propose]
        return super().steps()

    def assign(self, places: set[Place], generation: int, *, lost: bool) -> None:
        """As Faust does it: everything is given back before anything is assigned."""
        super().assign(set(), generation, lost=lost)
        super().assign(places, generation, lost=lost)
        self.books.owns(frozenset(number for _, number in places))
        self.say(encode_line(self.books.claim))

    def say(self, line: bytes) -> None:
        self.broker.append(LEDGER, Rec(None, line, at=self.site.now))

    def read_ledger(self) -> None:
        for _ in range(self.drawn.randrange(16)):
            self.ledger_at, offset, record = self.broker.read(LEDGER, self.ledger_at)
            if offset is not None:
                self.books.read(offset, decode_line(record.value))

    def lend(self) -> None:
        for line in self.books.lend(self.site.now):
            self.met["lent"] += 1
            self.say(encode_line(line))

    def propose(self) -> None:
        """A change of lanes, where one is due."""
        change = self.lanes.due(self.site.now, self.name)
        if change is not None:
            self.met["lanes proposed"] += 1
            record = Rec(b"lanes", encode_lane_change(change), at=self.site.now)
            self.broker.append(CONTROL, record)

    def control(self, record: Rec) -> None:
        change = decode_lane_change(record.value)
        assert change is not None
        self.met["lanes changed"] += self.lanes.follow(change, self.site.now)

    def take_units(self) -> list[Unit]:
        """In their order, as the writer takes them."""
        count = self.drawn.randint(1, len(self.pending))
        taken, self.pending = self.pending[:count], self.pending[count:]
        return taken

    def begins(self, place: Place, base: int) -> None:
        self.windows[place] = window = DedupeWindow(1e9, 10_000)
        for offset, record in self.broker.visible(place, base):
            identity = IDENTIFY(record.value, record.headers)
            if identity is not None and home_partition(identity, len(PROMPTS)) == place[1]:
                window.check(identity, offset, record.at, self.site.now)

    def poll(self) -> None:
        if self.waits_for_its_claim and not self.books.settled:
            self.met["waits for its claim"] += 1
            return
        super().poll()

    def took(self, place: Place, offset: int, value: Rec, *, is_work: bool) -> None:
        assert is_work, "what is in order has no gaps"
        self.view.update(self.site.reports)
        record = InputRecord(place[0], place[1], offset, value.at, value.key, value.value, value[2])
        outcome = self.decider.decide(record, self.windows[place], self.site.now)
        self.met[outcome.code or outcome.verdict] += 1
        self.met["decided again"] += outcome.again
        outputs = tuple(map(self.site.placed, outcome.outputs))
        if outcome.verdict == "routed":
            self.notice(outputs[0][1])
        self.pending.append(Unit(place, offset, self.assigned[place].epoch, outputs))

    def notice(self, record: Rec) -> None:
        work = decode_work(record.value)
        before = self.lane_of.setdefault(work.id, work.lane)
        self.met["decided again into another lane"] += before != work.lane
        self.met["has to wait at the door"] += work.not_before is not None
