"""A classifier and a worker over the model broker, made of the real pure parts.

What the edges have to do around those parts is written out here in the smallest form: this is the
protocol whose histories `test_histories.py` checks.
"""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from broker.core.cancels import Cancels
from broker.core.dedupe import DedupeWindow, Kind, home_partition
from broker.core.offsets import PartitionProgress
from broker.core.slots import SlotRules
from broker.core.waiting import WaitingRoom
from tests.core.kafka_model import Broker, FencedError, Place, State, UnstableError
from tests.core.worker_room import Polled, RoomModel

PROMPTS = [("prompts", 0), ("prompts", 1)]
WORK = [("work", 0), ("work", 1), ("work", 2)]
COMPLETIONS = [("completions", 0)]
MOST_MOVES = 2


class Value(NamedTuple):
    identity: str | None
    moves: int = 0
    cancelled: bool = False
    """How a completion ended."""


class Unit(NamedTuple):
    place: Place
    offset: int
    epoch: int
    outputs: tuple[tuple[Place, Value], ...]


@dataclass
class Parts:
    """The pure parts under test; sabotaged ones show that the histories notice."""

    progress: Callable[[int], PartitionProgress] = PartitionProgress
    window: Callable[[float, int], DedupeWindow] = DedupeWindow
    room: Callable[[SlotRules], WaitingRoom[Polled]] = WaitingRoom
    checks_epochs: bool = True
    shows_done_to_the_window: bool = True
    ends_cancelled_once: bool = True


@dataclass
class Assigned:
    epoch: int
    progress: PartitionProgress
    position: int
    window: DedupeWindow


@dataclass
class Process:
    """One process of a group, from its start to its death."""

    broker: Broker
    group: str
    name: str
    drawn: random.Random
    parts: Parts
    asked: list[str] = field(default_factory=list)
    """Cancels in the order in which they were written: the control topic, which all share."""
    cancels: Cancels = field(default_factory=Cancels)
    heard: int = 0
    generation: int = 0
    waiting: set[Place] = field(default_factory=set)
    assigned: dict[Place, Assigned] = field(default_factory=dict)
    pending: list[Unit] = field(default_factory=list)
    sending: list[Unit] = field(default_factory=list)
    offsets_sent: bool = False
    epochs: int = 0
    met: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.broker.init(self.name)
        self.room = RoomModel(self.drawn, self.parts.room)

    def assign(self, places: set[Place], generation: int, *, lost: bool) -> None:
        """A rebalance: keep what stays ours; what is gone is committed first, or lost."""
        gone = set(self.assigned) - places
        if gone and not lost:
            self.finish_transaction()
        for place in gone:
            del self.assigned[place]
        self.room.dropped(lambda given: given[0] in gone)
        self.waiting = places - set(self.assigned)
        self.generation = generation

    def step(self) -> None:
        """Do one thing of those that a process does."""
        steps = [self.activate, self.poll, self.poll, self.transact, self.transact, self.hear]
        if self.group == "worker":
            self.room.now += 1
            steps += [self.room.start, self.answer, self.answer]
        self.drawn.choice(steps)()

    def hear(self) -> None:
        """Read on in the control topic; a worker ends what it has of that id."""
        if self.heard == len(self.asked):
            return
        identity = self.asked[self.heard]
        self.heard += 1
        self.cancels.note(identity, 0.0)
        for item in self.room.meant(lambda given: given[3].identity == identity):
            runs = item in self.room.running
            self.met["cancelled under way" if runs else "cancelled in its line"] += 1
            if self.parts.ends_cancelled_once:
                self.room.take_out(item)
            self.pending.append(self.cancelled(*item.given))

    @staticmethod
    def cancelled(place: Place, offset: int, epoch: int, value: Value) -> "Unit":
        return Unit(place, offset, epoch, ((COMPLETIONS[0], value._replace(cancelled=True)),))

    def activate(self) -> None:
        """Begin at the stable committed offset of a partition that became ours."""
        for place in sorted(self.waiting):
            try:
                base, metadata = self.broker.stable(self.group, place)
            except UnstableError:
                continue
            self.epochs += 1
            progress = self.parts.progress(base)
            assert progress.restore(base, metadata).problem is None
            window = self.parts.window(1e9, 10_000)
            for offset, value in self.broker.visible(place, base):
                if self.group == "classifier" and value.identity and self.is_home(place, value):
                    window.check(value.identity, offset, 0.0)
            self.assigned[place] = Assigned(self.epochs, progress, base, window)
            self.waiting.discard(place)

    @staticmethod
    def is_home(place: Place, value: Value) -> bool:
        return value.identity is None or home_partition(value.identity, len(PROMPTS)) == place[1]

    def poll(self) -> None:
        if not self.assigned:
            return
        place = self.drawn.choice(sorted(self.assigned))
        ours = self.assigned[place]
        ours.position, offset, value = self.broker.read(place, ours.position)
        if offset is None:
            ours.progress.passed(ours.position)
            return
        is_work = ours.progress.delivered(offset)
        if self.group == "worker":
            if is_work and value.identity and self.cancels.covers(value.identity, 0.0):
                self.met["cancelled before its call"] += 1
                self.pending.append(self.cancelled(place, offset, ours.epoch, value))
            elif is_work:
                self.room.polled((place, offset, ours.epoch, value))
            return
        if is_work or self.parts.shows_done_to_the_window:
            outputs = self.classify(place, offset, value, ours.window)
            if is_work:
                self.pending.append(Unit(place, offset, ours.epoch, outputs))

    def classify(
        self, place: Place, offset: int, value: Value, window: DedupeWindow
    ) -> tuple[tuple[Place, Value], ...]:
        if value.identity is None:
            given = Value(f"{place[1]}-{offset}")
            return (self.routed(given),)
        if not self.is_home(place, value):
            return ((PROMPTS[home_partition(value.identity, len(PROMPTS))], value),)
        verdict = window.check(value.identity, offset, 0.0)
        self.met[verdict.kind.value] += 1
        if verdict.kind is Kind.DUPLICATE:
            return ()
        return (self.routed(value),)

    def routed(self, value: Value) -> tuple[Place, Value]:
        assert value.identity is not None
        if self.cancels.covers(value.identity, 0.0):
            self.met["cancelled before its route"] += 1
            return COMPLETIONS[0], value._replace(cancelled=True)
        return self.drawn.choice(WORK), value

    def answer(self) -> None:
        """A provider call ends; calls end in any order, and some are tried again."""
        ended = self.room.ended()
        if ended is None:
            return
        place, offset, epoch, value = ended
        if value.moves < MOST_MOVES and self.drawn.random() < 0.2:
            moved = value._replace(moves=value.moves + 1)
            output = (self.drawn.choice(WORK), moved)
        else:
            output = (COMPLETIONS[0], value)
        self.pending.append(Unit(place, offset, epoch, (output,)))

    def is_ours(self, unit: Unit) -> bool:
        ours = self.assigned.get(unit.place)
        return ours is not None and (ours.epoch == unit.epoch or not self.parts.checks_epochs)

    def transact(self) -> None:
        """One step of a transaction: produce; send offsets; end."""
        if self.offsets_sent:
            self.end_transaction()
        elif self.sending:
            self.send_offsets()
        else:
            self.pending = [unit for unit in self.pending if self.is_ours(unit)]
            if not self.pending:
                return
            self.drawn.shuffle(self.pending)
            count = self.drawn.randint(1, len(self.pending))
            self.sending, self.pending = self.pending[:count], self.pending[count:]
            self.broker.begin(self.name)
            for unit in self.sending:
                for place, value in unit.outputs:
                    self.broker.produce(self.name, place, value)

    def send_offsets(self) -> None:
        if not all(self.is_ours(unit) for unit in self.sending):
            self.met["gone before its offsets were sent"] += 1
            self.abort()
            return
        done: dict[Place, list[int]] = {}
        for unit in self.sending:
            done.setdefault(unit.place, []).append(unit.offset)
        at = {
            place: self.assigned[place].progress.preview(offsets) for place, offsets in done.items()
        }
        try:
            self.broker.send_offsets(self.name, self.group, self.generation, at)
        except FencedError:
            self.met["fenced"] += 1
            self.abort()
            return
        self.offsets_sent = True

    def end_transaction(self) -> None:
        fate = self.drawn.random()
        if fate < 0.7:
            self.broker.end(self.name, State.COMMITTED)
            self.confirm(self.sending)
        elif fate < 0.8:
            self.abort()
        elif fate < 0.9:
            self.broker.end(self.name, State.COMMITTED)
            self.recover()
        else:
            self.recover()

    def abort(self) -> None:
        self.broker.end(self.name, State.ABORTED)
        self.pending += self.sending
        self.sending, self.offsets_sent = [], False

    def confirm(self, units: list[Unit]) -> None:
        for unit in units:
            if self.is_ours(unit):
                self.assigned[unit.place].progress.done(unit.offset)
        self.sending, self.offsets_sent = [], False

    def recover(self) -> None:
        """The outcome is unknown: a new producer, then what is committed is read again."""
        self.broker.init(self.name)
        sent, self.sending, self.offsets_sent = self.sending, [], False
        if self.drawn.random() < 0.3:
            self.rewind()
            return
        for unit in sent:
            if not self.is_ours(unit):
                continue
            committed = PartitionProgress(0)
            committed.restore(*self.broker.stable(self.group, unit.place))
            if committed.is_done(unit.offset):
                self.met["unknown, was committed"] += 1
                self.assigned[unit.place].progress.done(unit.offset)
            else:
                self.met["unknown, was not committed"] += 1
                self.pending.append(unit)

    def rewind(self) -> None:
        """The other way to recover: read everything again from the base, with the same window."""
        for place, ours in self.assigned.items():
            self.epochs += 1
            base, metadata = self.broker.stable(self.group, place)
            ours.progress.restore(base, metadata)
            ours.epoch, ours.position = self.epochs, base
        self.room.dropped(lambda given: given[0] in self.assigned)

    def finish_transaction(self) -> None:
        """Before partitions are given back: what is finished is committed, or not at all."""
        if not self.sending:
            self.transact()
        if self.sending and not self.offsets_sent:
            self.send_offsets()
        if self.offsets_sent:
            self.end_transaction()
