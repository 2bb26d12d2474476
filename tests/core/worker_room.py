"""The waiting room of the model's worker: what was polled waits its turn, rests, is cancelled."""

import random
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final

from broker.core.lanes import LANES, Lane
from broker.core.slots import SlotRules
from broker.core.waiting import WaitingRoom

SLOTS: Final = 4
TENANTS: Final = ("a", "b", "c")


@dataclass(slots=True, eq=False)
class Polled:
    """A work record of this process: `given` is what the process has to know of it."""

    given: Any
    tenant: str
    model: str
    lane: Lane
    weight: int
    arrived_at: float
    priority: str
    deadline: float | None
    not_before: float | None


class RoomModel:
    """What waits, rests and runs in one process; its clock is the number of its steps."""

    def __init__(
        self, drawn: random.Random, made: Callable[[SlotRules], WaitingRoom[Polled]]
    ) -> None:
        self.drawn = drawn
        self.room = made(SlotRules(SLOTS))
        self.running: list[Polled] = []
        self.now = 0.0

    def polled(self, given: Any) -> None:
        """A record comes, of any tenant and lane; some may not start yet."""
        drawn = self.drawn
        item = Polled(
            given,
            drawn.choice(TENANTS),
            drawn.choice(("small", "large")),
            drawn.choice(LANES),
            drawn.randint(0, 50),
            self.now - drawn.randint(0, 5),
            drawn.choice(("standard", "interactive")),
            # Nothing ends by its deadline here: only batch looks at it.
            self.now + drawn.randint(1, 100) if drawn.random() < 0.3 else None,
            self.now + drawn.randint(-2, 8) if drawn.random() < 0.3 else None,
        )
        self.room.add(item, self.now)

    def start(self) -> None:
        """Start what has a slot; for a while a model has to wait."""
        self.room.wake(self.now)
        blocked = self.drawn.choice((None, "small", "large"))
        while (item := self.room.next(lambda one: one.model != blocked)) is not None:
            self.running.append(item)

    def ended(self) -> Any | None:
        """A call ends; None when none runs, or when it is to be tried again."""
        if not self.running:
            return None
        item = self.running.pop(self.drawn.randrange(len(self.running)))
        self.room.ended(item)
        if self.drawn.random() < 0.2:
            self.room.rest(item, self.now + self.drawn.randint(0, 5))
            return None
        return item.given

    def meant(self, is_meant: Callable[[Any], bool]) -> Collection[Polled]:
        """What is here of something, running or not."""
        return [one for one in (*self.running, *self.room.held()) if is_meant(one.given)]

    def take_out(self, item: Polled) -> None:
        """It ends now: a call is broken off, or it never begins."""
        if item in self.running:
            self.running.remove(item)
            self.room.ended(item)
        else:
            assert self.room.remove(item)

    def dropped(self, is_gone: Callable[[Any], bool]) -> None:
        """Forget what is another's now; what runs goes on, for nothing."""
        self.room.drop(lambda item: is_gone(item.given))
