"""A classifier and a worker that only keep the protocol: an id comes in, an id comes out."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from broker.core.cancels import Cancels
from broker.core.dedupe import DedupeWindow, Kind, home_partition
from broker.core.slots import SlotRules
from broker.core.waiting import WaitingRoom
from tests.core.kafka_model import Place
from tests.core.process_model import Parts, Process, Unit
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


@dataclass
class PlainParts(Parts):
    window: Callable[[float, int], DedupeWindow] = DedupeWindow
    room: Callable[[SlotRules], WaitingRoom[Polled]] = WaitingRoom
    shows_done_to_the_window: bool = True
    ends_cancelled_once: bool = True


@dataclass
class Plain(Process):
    """What both roles have: they hear of cancels, each in its own time."""

    parts: PlainParts
    asked: list[str] = field(default_factory=list)
    """Cancels in the order in which they were written: the control topic, which all share."""
    cancels: Cancels = field(default_factory=Cancels)
    heard: int = 0

    def steps(self) -> list[Callable[[], None]]:
        return [*super().steps(), self.hear]

    def hear(self) -> None:
        """Read on in the control topic."""
        if self.heard < len(self.asked):
            identity = self.asked[self.heard]
            self.heard += 1
            self.cancels.note(identity, 0.0)
            self.cancelled(identity)

    def cancelled(self, identity: str) -> None:
        """A cancel was heard."""

    def is_cancelled(self, value: Value) -> bool:
        return value.identity is not None and self.cancels.covers(value.identity, 0.0)


@dataclass
class PlainClassifier(Plain):
    windows: dict[Place, DedupeWindow] = field(default_factory=dict)

    @staticmethod
    def is_home(place: Place, identity: str) -> bool:
        return home_partition(identity, len(PROMPTS)) == place[1]

    def begins(self, place: Place, base: int) -> None:
        self.windows[place] = window = self.parts.window(1e9, 10_000)
        for offset, value in self.broker.visible(place, base):
            if value.identity and self.is_home(place, value.identity):
                window.check(value.identity, offset, 0.0)

    def took(self, place: Place, offset: int, value: Value, *, is_work: bool) -> None:
        if is_work or self.parts.shows_done_to_the_window:
            outputs = self.classify(place, offset, value)
            if is_work:
                self.pending.append(Unit(place, offset, self.assigned[place].epoch, outputs))

    def classify(self, place: Place, offset: int, value: Value) -> tuple[tuple[Place, Value], ...]:
        if value.identity is None:
            return (self.routed(Value(f"{place[1]}-{offset}")),)
        if not self.is_home(place, value.identity):
            return ((PROMPTS[home_partition(value.identity, len(PROMPTS))], value),)
        verdict = self.windows[place].check(value.identity, offset, 0.0)
        self.met[verdict.kind.value] += 1
        if verdict.kind is Kind.DUPLICATE:
            return ()
        return (self.routed(value),)

    def routed(self, value: Value) -> tuple[Place, Value]:
        if self.is_cancelled(value):
            self.met["cancelled before its route"] += 1
            return COMPLETIONS[0], value._replace(cancelled=True)
        return self.drawn.choice(WORK), value


@dataclass
class PlainWorker(Plain):
    def __post_init__(self) -> None:
        super().__post_init__()
        self.room = RoomModel(self.drawn, self.parts.room)

    def steps(self) -> list[Callable[[], None]]:
        self.room.now += 1
        return [*super().steps(), self.room.start, self.answer, self.answer]

    def forgets(self, is_gone: Callable[[Place], bool]) -> None:
        self.room.dropped(lambda given: is_gone(given[0]))

    def took(self, place: Place, offset: int, value: Value, *, is_work: bool) -> None:
        if not is_work:
            return
        epoch = self.assigned[place].epoch
        if self.is_cancelled(value):
            self.met["cancelled before its call"] += 1
            self.pending.append(self.without_call(place, offset, epoch, value))
        else:
            self.room.polled((place, offset, epoch, value))

    def cancelled(self, identity: str) -> None:
        """It ends here, whether it waits or runs."""
        for item in self.room.meant(lambda given: given[3].identity == identity):
            runs = item in self.room.running
            self.met["cancelled under way" if runs else "cancelled in its line"] += 1
            if self.parts.ends_cancelled_once:
                self.room.take_out(item)
            self.pending.append(self.without_call(*item.given))

    @staticmethod
    def without_call(place: Place, offset: int, epoch: int, value: Value) -> Unit:
        return Unit(place, offset, epoch, ((COMPLETIONS[0], value._replace(cancelled=True)),))

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
