import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.core.lanes import LANES, Lane
from broker.core.slots import SlotRules, SlotSharing

waitings = st.dictionaries(st.sampled_from(LANES), st.integers(0, 50))


def fill(slots: SlotSharing, waiting: dict[Lane, int]) -> list[Lane]:
    started = []
    while (lane := slots.next_lane(waiting)) is not None:
        slots.started(lane)
        waiting[lane] -= 1
        started.append(lane)
    return started


@given(st.integers(1, 40), waitings, st.lists(waitings, max_size=20), st.integers(0, 2**32))
def test_slots_are_kept_and_never_idle_without_reason(
    total: int, first: dict[Lane, int], later: list[dict[Lane, int]], seed: int
) -> None:
    drawn = random.Random(seed)
    slots = SlotSharing(SlotRules(total))
    kept = slots.rules.kept_for_light
    waiting: dict[Lane, int] = {lane: first.get(lane, 0) for lane in LANES}
    for more in later:
        fill(slots, waiting)
        running = slots.running
        others = sum(running[lane] for lane in LANES if lane != "light")
        assert sum(running.values()) == total - slots.free <= total
        assert others <= total - kept
        # Work conservation: a free slot means that nobody waits who may use it.
        if slots.free:
            assert not waiting["light"]
            waits = sum(waiting[lane] for lane in LANES if lane != "light")
            assert not waits or others == total - kept
        for lane in LANES:
            waiting[lane] += more.get(lane, 0)
            for _ in range(drawn.randint(0, running[lane])):
                slots.ended(lane)


def test_heavy_ones_never_take_the_share_of_light_ones() -> None:
    slots = SlotSharing(SlotRules(8))
    assert fill(slots, {"heavy": 100, "batch": 100}).count("heavy") == 6
    assert fill(slots, {"light": 100, "heavy": 100}) == ["light", "light"]


def test_unused_slots_are_lent_and_given_back_as_calls_end() -> None:
    slots = SlotSharing(SlotRules(8))
    fill(slots, {"light": 100})
    assert slots.running["light"] == 8
    for _ in range(3):
        slots.ended("light")
        assert fill(slots, {"light": 1, "heavy": 1}) == ["heavy"]


def test_lanes_that_all_wait_share_the_open_slots() -> None:
    slots = SlotSharing(SlotRules(40))
    fill(slots, {"light": 99, "medium": 99, "heavy": 99})
    assert slots.running == {"light": 22, "medium": 9, "heavy": 9, "batch": 0}


@pytest.mark.parametrize("total", [1, 2, 4, 16, 64])
def test_nobody_starves_while_light_ones_flood(total: int) -> None:
    """Light calls of one tick, medium of ten, heavy and batch of forty; all lanes always wait."""
    slots = SlotSharing(SlotRules(total))
    lengths: dict[Lane, int] = {"light": 1, "medium": 10, "heavy": 40, "batch": 40}
    running: list[tuple[int, Lane]] = []
    served: Counter[Lane] = Counter()
    ticks = 4_000
    for tick in range(ticks):
        for _, lane in [one for one in running if one[0] <= tick]:
            slots.ended(lane)
        running = [one for one in running if one[0] > tick]
        for lane in fill(slots, dict.fromkeys(LANES, 10**6)):
            served[lane] += 1
            running.append((tick + lengths[lane], lane))
        assert slots.free == 0
    assert all(served[lane] for lane in LANES)
    assert served["heavy"] * 40 >= 0.1 * ticks * total * (total > 1)


@settings(max_examples=50)
@given(st.integers(1, 64), st.integers(2, 30), st.integers(0, 2**32))
def test_batch_has_one_of_so_many_starts_whatever_else_waits(
    total: int, every: int, seed: int
) -> None:
    """In the open slots: of those that only light ones may use it has none."""
    drawn = random.Random(seed)
    slots = SlotSharing(SlotRules(total, batch_every=every))
    running: list[Lane] = []
    since = 0
    for _ in range(15 * every):
        others = drawn.sample(("light", "medium", "heavy"), drawn.randint(1, 3))
        lane = slots.next_lane({lane: 9 for lane in LANES if lane in (*others, "batch")})
        if lane is None:
            drawn.shuffle(running)
            for _ in range(drawn.randint(1, len(running))):
                slots.ended(running.pop())
            continue
        in_open = lane != "light" or slots.running["light"] >= slots.rules.kept_for_light
        allowed = max(1, total // every)
        if lane == "batch":
            assert since >= every - 1, "it takes nothing that others wait for"
        elif in_open:
            assert since < every - 1 or slots.running["batch"] >= allowed
        slots.started(lane)
        running.append(lane)
        since = 0 if lane == "batch" else since + in_open


def test_batch_takes_what_others_leave() -> None:
    slots = SlotSharing(SlotRules(10))
    assert fill(slots, {"batch": 99}) == ["batch"] * 7
    for _ in range(7):
        slots.ended("batch")
    started = fill(slots, {"medium": 99, "batch": 99})
    assert started.count("batch") <= 1


def test_a_shrunken_pool_lets_calls_end() -> None:
    slots = SlotSharing(SlotRules(10))
    fill(slots, {"light": 10})
    slots.resize(SlotRules(4))
    assert slots.free == 0
    for left in (9, 8, 7, 6, 5, 4):
        slots.ended("light")
        assert slots.free == 0
        assert sum(slots.running.values()) == left
        assert slots.next_lane({"light": 5}) is None
    slots.ended("light")
    assert slots.next_lane({"light": 5}) == "light"


def test_an_end_without_a_start_is_refused() -> None:
    with pytest.raises(ValueError, match="no heavy prompt"):
        SlotSharing(SlotRules(3)).ended("heavy")


@pytest.mark.parametrize(("total", "share"), [(0, 0.25), (4, 1.0), (4, -0.1)])
def test_rules_that_cannot_work_are_refused(total: int, share: float) -> None:
    with pytest.raises(ValueError, match="cannot work"):
        SlotRules(total, share)


def test_without_a_light_share_every_slot_is_open() -> None:
    assert fill(SlotSharing(SlotRules(5, light_share=0)), {"heavy": 9}) == ["heavy"] * 5


@pytest.mark.parametrize(("total", "kept"), [(1, 0), (2, 1), (3, 1), (4, 1), (5, 2), (64, 16)])
def test_a_quarter_is_kept_for_light_ones(total: int, kept: int) -> None:
    assert SlotRules(total).kept_for_light == kept


@pytest.mark.parametrize("fewer", [2, 3, 8, 16])
def test_light_prompts_have_their_share_though_others_hold_more_than_a_new_limit(
    fewer: int,
) -> None:
    """The limit falls while long heavy calls run: they are left to end, and may take minutes."""
    slots = SlotSharing(SlotRules(64))
    fill(slots, {"heavy": 100, "light": 0, "medium": 0, "batch": 0})
    slots.resize(SlotRules(fewer))
    started = fill(slots, {"heavy": 100, "light": 100, "medium": 5, "batch": 5})
    assert started == ["light"] * slots.rules.kept_for_light
    assert started
    for _ in range(48):
        slots.ended("heavy")
    while slots.running["light"]:
        slots.ended("light")
    assert slots.busy == 0
    assert len(fill(slots, {"heavy": 100, "light": 100, "medium": 5, "batch": 5})) == fewer
