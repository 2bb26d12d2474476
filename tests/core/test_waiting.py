"""A worker's waiting room in virtual time: whatever floods it, nobody waits for ever."""

import heapq
import random
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.core.lanes import LANES, Lane
from broker.core.slots import SlotRules, least_slots
from broker.core.waiting import LEAD_SHARE, LEAST_LEAD_S, WaitingRoom, equal_shares
from tests.core.test_fairness import Item

UNIT_S: Final = 0.001
"""A call runs for so long for each token unit."""
WEIGHTS: Final[dict[Lane, tuple[int, int]]] = {
    "light": (50, 2_000),
    "medium": (2_001, 7_999),
    "heavy": (8_000, 40_000),
    "batch": (50, 40_000),
}
LONGEST: Final = {lane: most * UNIT_S for lane, (_, most) in WEIGHTS.items()}
LONGEST_S: Final = max(LONGEST.values())


class Served:
    """A room whose calls take as long as they weigh. `flood` refills it before each start."""

    def __init__(
        self,
        slots: int,
        flood: Callable[["Served"], None],
        share_of: Callable[[str], float] = equal_shares,
    ) -> None:
        self.room: WaitingRoom[Item] = WaitingRoom(SlotRules(slots), share_of)
        self.flood = flood
        self.now = 0.0
        self.ends: list[tuple[float, int, Item]] = []
        self.order = count()

    def put(self, lane: Lane, tenant: str, weight: int, **given: float) -> Item:
        item = Item(tenant, weight, self.now, lane=lane)
        item.deadline = given.get("deadline")
        self.room.add(item, self.now)
        return item

    def run(self, until: float) -> Iterator[tuple[float, Item]]:
        """Each start with its time."""
        while self.now < until:
            self.flood(self)
            self.room.wake(self.now)
            while (item := self.room.next()) is not None:
                heapq.heappush(self.ends, (self.now + item.weight * UNIT_S, next(self.order), item))
                yield self.now, item
                self.flood(self)
            if not self.ends:
                return
            self.now, _, ended = heapq.heappop(self.ends)
            self.room.ended(ended)

    def started(self, item: Item, within_s: float) -> float | None:
        """After how long the item starts; None when it does not within that time."""
        came = self.now
        for at, one in self.run(came + within_s):
            if one is item:
                return at - came
        return None


def flooding(
    seed: int, names: int, *, fresh: bool = False, most: int = 3
) -> Callable[[Served], None]:
    """All lanes always hold something of many tenants; `fresh` ones nobody has seen before."""
    drawn, number = random.Random(seed), count()

    def flood(served: Served) -> None:
        for lane in LANES:
            while served.room.waiting[lane] < names * most:
                which = next(number)
                tenant = f"new-{which}" if fresh else f"old-{which % names}"
                served.put(lane, tenant, drawn.randint(*WEIGHTS[lane]))

    return flood


def takes_s(calls_s: Sequence[float], slots: int, lane: Lane) -> float:
    """Until all of these calls of a lane have started, while everything else floods."""
    own = least_slots(SlotRules(slots), lane)
    if own:
        return LONGEST_S + sum(calls_s) / own
    turns = sum(LONGEST[other] for other in LANES if other != lane)
    return turns + sum(calls_s) + turns * len(calls_s)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**32),
    st.sampled_from((2, 4, 8, 32)),
    st.integers(1, 8),
    st.booleans(),
    st.floats(5, 200),
)
def test_a_heavy_one_waits_no_longer_than_the_bound_whatever_floods(
    seed: int,
    slots: int,
    names: int,
    fresh: bool,  # noqa: FBT001 - drawn
    warm_s: float,
) -> None:
    served = Served(slots, flooding(seed, names, fresh=fresh))
    for _ in served.run(warm_s):
        pass
    weight = random.Random(seed).randint(*WEIGHTS["heavy"])
    ours = served.put("heavy", "ours", weight)
    # What stands before it: of each other tenant no more than is there, and the one that runs.
    ahead = [one.weight * UNIT_S for one in served.room.waiting_in("heavy")]
    overtaking = [LONGEST_S] * 2 * names
    bound = LONGEST_S + takes_s([*ahead, *overtaking], slots, "heavy")
    assert served.started(ours, bound + 1) is not None


@settings(max_examples=12, deadline=None)
@given(
    st.integers(0, 2**32),
    st.sampled_from((2, 4, 8)),
    st.integers(1, 4),
    st.booleans(),
    st.floats(5, 50),
)
def test_batch_starts_before_its_deadline_while_all_else_floods(
    seed: int,
    slots: int,
    names: int,
    fresh: bool,  # noqa: FBT001 - drawn
    warm_s: float,
) -> None:
    """As much of it as its share of the slots can do in the half of its time in which it presses.

    That begins once the calls of others that run too many have ended, and the last one has to have
    started by then.
    """
    drawn, served = random.Random(seed), Served(slots, flooding(seed, names, fresh=fresh, most=2))
    for _ in served.run(warm_s):
        pass
    weights = [drawn.randint(50, 8_000) for _ in range(max(3, slots))]
    pressing_s = LONGEST_S + takes_s([one * UNIT_S for one in weights], slots, "batch")
    ends = served.now + max(pressing_s / LEAD_SHARE, pressing_s + LEAST_LEAD_S)
    ours = [
        served.put("batch", f"ours-{number % 3}", weight, deadline=ends)
        for number, weight in enumerate(weights)
    ]
    left = set(ours)
    for at, one in served.run(ends + 1):
        if one in left:
            left.remove(one)
            assert at <= ends
        if not left:
            return
    pytest.fail(f"{len(left)} have not started")


def test_batch_takes_only_what_others_leave_until_its_deadline_comes_near() -> None:
    def flood(served: Served) -> None:
        while served.room.waiting["medium"] < 50:
            served.put("medium", "other", 4_000)

    served = Served(20, flood)
    for number in range(200):
        served.put("batch", "ours", 4_000, deadline=1_000.0 + number)
    starts = [(at, one.lane) for at, one in served.run(700)]
    early = [lane for at, lane in starts if at < 400]
    assert early.count("batch") <= len(early) / 20 + 1
    late = [lane for at, lane in starts if 510 < at < 600]
    assert late.count("batch") > len(late) / 4


def test_what_presses_goes_by_deadline_and_a_short_time_presses_at_once() -> None:
    room: WaitingRoom[Item] = WaitingRoom(SlotRules(8))
    items = [
        Item("a", lane="batch", deadline=at) for at in (LEAST_LEAD_S - 1, LEAST_LEAD_S - 20, 5.0)
    ]
    for item in items:
        room.add(item, 0.0)
    room.add(Item("a", lane="batch"), 0.0)
    room.add(Item("b", lane="heavy"), 0.0)
    order = [room.next() for _ in range(4)]
    assert [one for one in order if one in items] == items[::-1]


def test_a_batch_item_that_presses_can_be_taken_out_and_expires() -> None:
    room: WaitingRoom[Item] = WaitingRoom(SlotRules(4))
    gone, late = Item("a", lane="batch", deadline=100.0), Item("a", lane="batch", deadline=110.0)
    for item in (gone, late):
        room.add(item, 0.0)
    assert room.next_change() == 100.0 * (1 - LEAD_SHARE)
    room.wake(60.0)
    assert set(room.waiting_in("batch")) == {gone, late}
    assert room.waiting["batch"] == 2
    assert room.remove(gone)
    assert not room.remove(gone)
    assert room.take_expired(110.0, 5) == [late]
    assert room.idle
    assert room.waiting_weight["batch"] == 0


def test_a_pressing_one_whose_model_has_to_wait_takes_nobody_elses_slot() -> None:
    room: WaitingRoom[Item] = WaitingRoom(SlotRules(4))
    room.add(Item("a", lane="batch", model="limited", deadline=5.0), 0.0)
    room.add(Item("a", lane="batch"), 0.0)
    heavy = [Item("b", lane="heavy") for _ in range(3)]
    for item in heavy:
        room.add(item, 0.0)
    got = [room.next(lambda one: one.model != "limited") for _ in range(3)]
    assert got == heavy


@given(st.integers(1, 200))
def test_every_lane_has_a_slot_of_its_own_where_there_are_enough(total: int) -> None:
    least = [least_slots(SlotRules(total), lane) for lane in LANES]
    assert sum(least) <= total
    assert all(least) or total < 7
