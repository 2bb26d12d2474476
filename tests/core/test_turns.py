"""The order that is foretold is the one in which the waiting room starts its items."""

import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from broker.core.lanes import Lane
from broker.core.slots import SlotRules
from broker.core.turns import in_turn
from broker.core.waiting import WaitingRoom


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    tenant: str
    weight: int
    arrived_at: float
    priority: str = "standard"
    model: str = "m"
    lane: Lane = "light"
    deadline: float | None = None
    not_before: float | None = None


def three_for_a(tenant: str) -> float:
    return 3.0 if tenant == "a" else 1.0


def alike(_tenant: str) -> float:
    return 1.0


def started(items: list[Item], share_of: Callable[[str], float] = alike) -> list[Item]:
    """The real order, one slot after the other."""
    room: WaitingRoom[Item] = WaitingRoom(SlotRules(4), share_of)
    for item in items:
        room.add(item, item.arrived_at)
    found = []
    while (next_one := room.next()) is not None:
        found.append(next_one)
        room.ended(next_one)
    return found


def test_one_tenant_s_shortest_go_first_with_ageing() -> None:
    items = [Item("a", 5_000, 0.0), Item("a", 10, 1.0), Item("a", 2_000, 2.0)]
    assert in_turn(items, 10.0) == started(items) == [items[1], items[2], items[0]]


@pytest.mark.parametrize("share_of", [alike, three_for_a])
@pytest.mark.parametrize("seed", range(5))
def test_it_is_what_fair_turns_make_of_several_tenants(
    seed: int, share_of: Callable[[str], float]
) -> None:
    drawn = random.Random(seed)
    items = [
        Item(
            drawn.choice("abcd"),
            drawn.randint(1, 2_000),
            drawn.uniform(0, 20),
            drawn.choice(("standard", "interactive")),
        )
        for _ in range(60)
    ]
    items.sort(key=lambda one: one.arrived_at)
    real, told = started(items, share_of), in_turn(items, 20.0, share_of)
    assert sorted(map(id, told)) == sorted(map(id, items))
    off = [abs(told.index(item) - place) for place, item in enumerate(real)]
    assert sum(off) / len(off) <= 3
    assert max(off) <= 12


def test_a_tenant_that_floods_does_not_stand_before_others() -> None:
    flood = [Item("noisy", 100, n * 0.01) for n in range(500)]
    one = Item("quiet", 100, 10.0)
    assert in_turn([*flood, one], 20.0).index(one) <= 2


def test_nothing_waits() -> None:
    assert in_turn([], 0.0) == []
