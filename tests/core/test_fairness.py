"""Turns of tenants: whoever floods a lane, each of the others is served its share, and in time."""

import random
from collections import Counter
from dataclasses import dataclass
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.core.ageing import AGEING_S, HEAD_START_S, LONGEST_PASS_S, key_of
from broker.core.fairness import FairQueue
from broker.core.lanes import Lane
from broker.core.turn_order import SLICE
from broker.core.waiting import equal_shares

HEAVIEST: Final = 2_000
weights = st.integers(1, HEAVIEST)


@dataclass(slots=True, eq=False)
class Item:
    tenant: str
    weight: int = 100
    arrived_at: float = 0.0
    model: str = "chat-small"
    lane: Lane = "light"
    priority: str = "standard"
    deadline: float | None = None
    not_before: float | None = None


def put(queue: FairQueue[Item], item: Item, now: float = 0.0) -> Item:
    queue.add(item, key_of(item, now))
    return item


def taken(queue: FairQueue[Item]) -> Item:
    item = queue.take()
    assert item is not None
    return item


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(0.1, 10), min_size=2, max_size=6),
    st.integers(0, 2**32),
    st.lists(weights, min_size=1, max_size=20),
)
def test_what_two_tenants_with_work_were_served_differs_by_two_of_the_heaviest_at_most(
    shares: list[float], seed: int, heavy: list[int]
) -> None:
    """Each tenant always has some waiting, of any weights, from any moment on.

    Counted from both ones' first turns; from when the later one came, its first turn may come as
    much later as the lane's clock was ahead.
    """
    drawn = random.Random(seed)
    of = {str(number): share for number, share in enumerate(shares)}
    queue: FairQueue[Item] = FairQueue(of.__getitem__)
    served: dict[str, float] = dict.fromkeys(of, 0.0)
    since: dict[tuple[str, str, float], float] = {}
    working: set[str] = set()
    turned: set[str] = set()
    longest = max(heavy) / min(shares)

    def refill(name: str) -> None:
        put(queue, Item(name, drawn.choice(heavy), drawn.random()))

    def ahead(one: str, other: str) -> float:
        return served[one] / of[one] - served[other] / of[other]

    for step in range(400):
        for name in of:
            if name not in working and drawn.random() < 0.1:
                working.add(name)
                for _ in range(3):
                    refill(name)
                since |= {(name, other, longest): ahead(name, other) for other in working}
        if not len(queue):
            continue
        item = taken(queue)
        name = item.tenant
        served[name] += item.weight
        refill(name)
        if name not in turned:
            turned.add(name)
            since |= {(name, other, 0.0): ahead(name, other) for other in turned}
        for (one, other, more), before in since.items():
            bound = max(heavy) / of[one] + max(heavy) / of[other] + 2 * SLICE + more
            assert abs(ahead(one, other) - before) <= bound * 1.000_001, step


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 4), st.booleans())
def test_newcomers_keep_nobody_waiting_for_ever(seed: int, rate: int, old: bool) -> None:  # noqa: FBT001 - drawn
    """More than can be served of tenants that nobody has seen before, for ever."""
    drawn = random.Random(seed)
    queue: FairQueue[Item] = FairQueue(equal_shares)
    came = 0
    for _ in range(40):
        came += 1
        put(queue, Item(f"new-{came}", drawn.randint(1, HEAVIEST)))
    if old:  # it was served a lot just before
        for _ in range(3):
            put(queue, Item("ours", HEAVIEST))
    for _ in range(20):
        taken(queue)
    waiting = put(queue, Item("ours", 1_000, LONGEST_PASS_S))
    ahead = sum(item.weight for item in queue)
    bound = ahead + (4 * HEAVIEST + 1_000) * 45
    served = 0
    while True:
        for _ in range(rate + 1):
            came += 1
            put(queue, Item(f"new-{came}", drawn.randint(1, HEAVIEST)))
        item = taken(queue)
        if item is waiting:
            return
        served += item.weight
        assert served < bound * (rate + 2)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 4))
def test_who_comes_back_each_time_with_one_is_served_no_more_than_its_share(
    seed: int, others: int
) -> None:
    """With nothing waiting in between it begins at the lane's clock, or where its own stood."""
    drawn = random.Random(seed)
    queue: FairQueue[Item] = FairQueue(equal_shares)
    busy = [f"busy-{number}" for number in range(others)]
    for name in (*busy, *busy, "single"):
        put(queue, Item(name, drawn.randint(1, HEAVIEST)))
    served: Counter[str] = Counter()
    for _ in range(200):
        item = taken(queue)
        served[item.tenant] += item.weight
        put(queue, Item(item.tenant, drawn.randint(1, HEAVIEST)))
        ahead = served["single"] - min(served[name] for name in busy)
        assert ahead <= 3 * HEAVIEST + 2 * SLICE


def test_a_quiet_tenant_waits_for_one_of_each_not_for_the_flood() -> None:
    queue: FairQueue[Item] = FairQueue(equal_shares)
    for _ in range(10_000):
        put(queue, Item("noisy"))
    for _ in range(100):
        taken(queue)
    for name in range(5):
        put(queue, Item(f"quiet-{name}"))
    first = Counter(taken(queue).tenant for _ in range(6))
    assert first["noisy"] <= 1
    assert len(first) >= 5


def test_the_time_without_work_gives_no_credit() -> None:
    queue: FairQueue[Item] = FairQueue(equal_shares)
    put(queue, Item("idle"))
    taken(queue)
    for _ in range(1_000):
        put(queue, Item("busy"))
        taken(queue)
    for _ in range(50):
        put(queue, Item("idle"))
        put(queue, Item("busy"))
    first = Counter(taken(queue).tenant for _ in range(20))
    assert abs(first["idle"] - first["busy"]) <= 2


def test_the_time_a_model_had_to_wait_gives_no_credit() -> None:
    queue: FairQueue[Item] = FairQueue(equal_shares)
    for _ in range(300):
        put(queue, Item("limited", model="limited"))
        put(queue, Item("free", model="free"))
    for _ in range(200):
        item = queue.take(lambda one: one.model != "limited")
        assert item is not None
        assert item.tenant == "free"
    first = Counter(taken(queue).tenant for _ in range(20))
    assert abs(first["limited"] - first["free"]) <= 2


def test_a_model_that_has_to_wait_is_asked_for_once_whatever_waits_for_it() -> None:
    queue: FairQueue[Item] = FairQueue(equal_shares)
    for number in range(5_000):
        put(queue, Item(f"tenant-{number}", model="limited"))
    last = put(queue, Item("other", model="free"))
    asked: list[Item] = []

    def may_start(item: Item) -> bool:
        asked.append(item)
        return item.model == "free"

    assert queue.take(may_start) is last
    assert queue.take(may_start) is None
    assert len(asked) <= 3


def test_the_turn_of_a_large_one_is_not_taken_by_small_ones_of_its_model() -> None:
    queue: FairQueue[Item] = FairQueue(equal_shares)
    large = put(queue, Item("a", HEAVIEST))
    put(queue, Item("b", 1))
    assert queue.take(lambda item: item.weight == 1) is None
    assert queue.take() is large


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 200_000), st.floats(0, 200)), max_size=40))
def test_inside_a_tenant_nobody_is_passed_by_what_comes_much_later(
    came: list[tuple[int, float]],
) -> None:
    queue: FairQueue[Item] = FairQueue(equal_shares)
    items = sorted((Item("a", weight, at) for weight, at in came), key=lambda one: one.arrived_at)
    for item in items:
        put(queue, item, item.arrived_at)
    order = [taken(queue) for _ in items]
    for place, later in enumerate(order):
        for passed in order[place + 1 :]:
            ahead = later.arrived_at - passed.arrived_at
            assert ahead <= min(LONGEST_PASS_S, AGEING_S * max(0, passed.weight - later.weight))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 50_000), st.floats(0, 200)), max_size=40))
def test_inside_a_tenant_shorter_ones_pass_those_that_came_little_earlier(
    came: list[tuple[int, float]],
) -> None:
    """Shortest first, as far as ageing lets it: by so much as the weights differ."""
    queue: FairQueue[Item] = FairQueue(equal_shares)
    for weight, at in came:
        put(queue, Item("a", weight, at), at)
    order = [taken(queue) for _ in came]
    for place, first in enumerate(order):
        for shorter in order[place + 1 :]:
            gained = AGEING_S * (first.weight - shorter.weight)
            assert shorter.arrived_at - first.arrived_at >= gained - 1e-6


def test_what_is_urgent_goes_ahead_of_its_own_tenants_only() -> None:
    queue: FairQueue[Item] = FairQueue(equal_shares)
    usual = [put(queue, Item("a", arrived_at=HEAD_START_S - 1), 20) for _ in range(3)]
    early = put(queue, Item("a", arrived_at=0.0), 20)
    other = put(queue, Item("b", arrived_at=20.0), 20)
    urgent = put(queue, Item("a", priority="interactive", arrived_at=11.0), 20)
    later = put(queue, Item("a", priority="interactive", arrived_at=20.0), 20)
    order = [taken(queue) for _ in range(7)]
    own = [one for one in order if one.tenant == "a"]
    assert own == [early, urgent, *usual, later]
    assert order.index(other) == 1


def test_what_says_it_comes_from_the_future_does_not_wait_for_it() -> None:
    queue: FairQueue[Item] = FairQueue(equal_shares)
    wrong = put(queue, Item("a", arrived_at=1e9), now=10.0)
    put(queue, Item("a", arrived_at=11.0), now=11.0)
    assert queue.take() is wrong


@pytest.mark.parametrize("share", [0.0, -1.0])
def test_a_share_of_nothing_is_a_very_small_one(share: float) -> None:
    queue: FairQueue[Item] = FairQueue(lambda name: share if name == "poor" else 1.0)
    for _ in range(5):
        put(queue, Item("poor"))
        put(queue, Item("rich"))
    assert sum(taken(queue).tenant == "poor" for _ in range(6)) == 1


def test_a_new_share_counts_also_for_a_tenant_that_never_has_nothing_waiting() -> None:
    queue: FairQueue[Item] = FairQueue(equal_shares)
    for _ in range(300):
        put(queue, Item("a"))
        put(queue, Item("b"))
    for share in (1.0, 4.0, 0.25, 1.0):
        queue.use(lambda name, share=share: share if name == "a" else 1.0)  # type: ignore[misc]  # its type is known
        first = Counter(taken(queue).tenant for _ in range(100))
        assert first["a"] == pytest.approx(100 * share / (share + 1), abs=7)
    while queue.take() is not None:
        pass
    assert queue._clocks._shares == 0.0  # noqa: SLF001 - what is left of them would never go


def test_tenants_that_are_gone_are_forgotten() -> None:
    queue: FairQueue[Item] = FairQueue(equal_shares)
    for number in range(50_000):
        put(queue, Item(f"tenant-{number}"))
        taken(queue)
    assert len(queue._clocks) < 3_000  # noqa: SLF001 - what it keeps
    assert sum(len(model.lines) for model in queue._models.values()) < 3_000  # noqa: SLF001 - as above


@pytest.mark.parametrize("seed", range(6))
def test_nothing_is_lost_or_started_twice_through_many_sweeps(seed: int) -> None:
    """Thousands come, most are taken out in all orders, and models and tenants come and go."""
    drawn = random.Random(seed)
    queue: FairQueue[Item] = FairQueue(equal_shares)
    waiting: list[Item] = []
    for step in range(12_000):
        grows = (step // 2_000) % 2 == 0
        fate = drawn.random()
        if fate < (0.7 if grows else 0.1):
            name, model = f"tenant-{drawn.randrange(300)}", f"model-{drawn.randrange(4)}"
            waiting.append(put(queue, Item(name, drawn.randint(0, 99), float(step), model)))
        elif fate < 0.8 and waiting:
            place = drawn.randrange(len(waiting))
            waiting[place], waiting[-1] = waiting[-1], waiting[place]
            gone = waiting.pop()
            assert queue.remove(gone)
            assert not queue.remove(gone)
            if drawn.random() < 0.2:
                waiting.append(put(queue, gone))
        else:
            blocked = f"model-{drawn.randrange(5)}"
            item = queue.take(lambda one, blocked=blocked: one.model != blocked)  # type: ignore[misc]  # bound at once
            if item is None:
                assert all(one.model == blocked for one in waiting)
            else:
                waiting.remove(item)
        assert len(queue) == len(waiting)
        if step % 500 == 0:
            assert set(queue) == set(waiting)
            oldest = queue.oldest
            assert (oldest is None) == (not waiting)
    while (item := queue.take()) is not None:
        waiting.remove(item)
    assert not waiting
