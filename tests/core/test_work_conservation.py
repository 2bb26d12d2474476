"""No slot of a worker's room is free while something waits that may use it."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from broker.core.lanes import LANES
from broker.core.slots import SlotRules
from broker.core.waiting import WaitingRoom
from tests.core.test_fairness import Item
from tests.core.test_waiting import WEIGHTS


class Busy:
    """A room in which work comes, rests, is taken out and ends in any order."""

    def __init__(self, seed: int, slots: int) -> None:
        self.drawn = random.Random(seed)
        self.room: WaitingRoom[Item] = WaitingRoom(SlotRules(slots))
        self.running: list[Item] = []
        self.now = 0.0

    def come(self) -> None:
        drawn, now = self.drawn, self.now
        lane = drawn.choice(LANES)
        item = Item(
            drawn.choice("abc"),
            drawn.randint(*WEIGHTS[lane]),
            now,
            drawn.choice(("small", "large")),
            lane,
            deadline=now + drawn.randint(1, 200) if drawn.random() < 0.4 else None,
            not_before=now + drawn.randint(0, 40) if drawn.random() < 0.3 else None,
        )
        self.room.add(item, now)

    def end(self) -> None:
        if self.running:
            ended = self.running.pop(self.drawn.randrange(len(self.running)))
            self.room.ended(ended)
            if self.drawn.random() < 0.3:
                self.room.rest(ended, self.now + self.drawn.randint(0, 30))

    def go(self) -> None:
        held = list(self.room.held())
        if held:
            assert self.room.remove(self.drawn.choice(held))

    def resize(self) -> None:
        self.room.resize(self.drawn.randint(1, 20))

    def happen(self) -> None:
        self.now += self.drawn.random() * 20
        for act in self.drawn.choices(
            (self.come, self.end, self.go, self.resize), (9, 9, 1, 1), k=5
        ):
            act()
        self.room.take_expired(self.now, 2)
        self.room.wake(self.now)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from((1, 2, 3, 8, 20)))
def test_no_slot_is_free_while_something_waits_that_may_use_it(seed: int, slots: int) -> None:
    busy = Busy(seed, slots)
    room = busy.room
    for _ in range(120):
        busy.happen()
        blocked = busy.drawn.choice(("small", "large", ""))
        while (started := room.next(lambda one, no=blocked: one.model != no)) is not None:  # type: ignore[misc]  # bound at once
            busy.running.append(started)
        assert room.in_flight == len(busy.running)
        for lane in LANES:
            if any(one.model != blocked for one in room.waiting_in(lane)):
                others = sum(room.running[other] for other in LANES if other != "light")
                open_to_all = room.slots - SlotRules(room.slots).kept_for_light
                only_light_may = lane != "light" and others >= open_to_all
                assert room.in_flight >= room.slots or only_light_may, lane
