"""A process of a group over the model broker: what it reads, commits, loses and recovers.

What the edges have to do around the pure parts is written out here in the smallest form: this is
the protocol whose histories are checked. What is done with a record is a role's: the smallest ones
are in `plain_roles`, those of the real parts in `site_classifier` and `site_worker`.
"""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from broker.core.offsets import PartitionProgress
from tests.core.kafka_model import Broker, FencedError, Place, State, UnstableError


class Unit(NamedTuple):
    place: Place
    offset: int
    epoch: int
    outputs: tuple[tuple[Place, Any], ...]


@dataclass
class Parts:
    """The pure parts under test; sabotaged ones show that the histories notice."""

    progress: Callable[[int], PartitionProgress] = PartitionProgress
    checks_epochs: bool = True


@dataclass
class Assigned:
    epoch: int
    progress: PartitionProgress
    position: int


@dataclass
class Process:
    """One process of a group, from its start to its death."""

    broker: Broker
    group: str
    name: str
    drawn: random.Random
    parts: Parts
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

    def steps(self) -> list[Callable[[], None]]:
        """What it may do next, each as often as it stands here."""
        return [self.activate, self.poll, self.poll, self.transact, self.transact]

    def begins(self, place: Place, base: int) -> None:
        """A partition became ours, to be read from its base on."""

    def took(self, place: Place, offset: int, value: Any, *, is_work: bool) -> None:
        """A record was read; it is work unless it is done already."""
        raise NotImplementedError

    def forgets(self, is_gone: Callable[[Place], bool]) -> None:
        """What was read of these partitions is another's, or is read again."""

    def produce(self, place: Place, value: Any) -> None:
        """Write one record in the open transaction."""
        self.broker.produce(self.name, place, value)

    def take_units(self) -> list[Unit]:
        """Those of a next transaction, out of the pending ones: any, in any order."""
        self.drawn.shuffle(self.pending)
        count = self.drawn.randint(1, len(self.pending))
        taken, self.pending = self.pending[:count], self.pending[count:]
        return taken

    def step(self) -> None:
        """Do one thing of those that a process does."""
        self.drawn.choice(self.steps())()

    def assign(self, places: set[Place], generation: int, *, lost: bool) -> None:
        """A rebalance: keep what stays ours; what is gone is committed first, or lost."""
        gone = set(self.assigned) - places
        if gone and not lost:
            self.finish_transaction()
        for place in gone:
            del self.assigned[place]
        self.forgets(gone.__contains__)
        self.waiting = places - set(self.assigned)
        self.generation = generation

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
            self.begins(place, base)
            self.assigned[place] = Assigned(self.epochs, progress, base)
            self.waiting.discard(place)

    def poll(self) -> None:
        if not self.assigned:
            return
        place = self.drawn.choice(sorted(self.assigned))
        ours = self.assigned[place]
        ours.position, offset, value = self.broker.read(place, ours.position)
        if offset is None:
            ours.progress.passed(ours.position)
            return
        self.took(place, offset, value, is_work=ours.progress.delivered(offset))

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
            self.sending = self.take_units()
            self.broker.begin(self.name)
            for unit in self.sending:
                for place, value in unit.outputs:
                    self.produce(place, value)

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
        self.pending = [*self.sending, *self.pending]
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
        again: list[Unit] = []
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
                again.append(unit)
        self.pending = [*again, *self.pending]

    def rewind(self) -> None:
        """The other way to recover: read everything again from the base, with the same window."""
        for place, ours in self.assigned.items():
            self.epochs += 1
            base, metadata = self.broker.stable(self.group, place)
            ours.progress.restore(base, metadata)
            ours.epoch, ours.position = self.epochs, base
        self.forgets(self.assigned.__contains__)

    def finish_transaction(self) -> None:
        """Before partitions are given back: what is finished is committed, or not at all."""
        if not self.sending:
            self.transact()
        if self.sending and not self.offsets_sent:
            self.send_offsets()
        if self.offsets_sent:
            self.end_transaction()
