"""How much a worker holds, and which lanes it fetches."""

import pytest

from broker.core.lanes import LANES, Lane
from workers.backlog import SHARES, Backlog


def filled(backlog: Backlog, lane: Lane, records: int, size: int) -> None:
    for _ in range(records):
        backlog.came(lane, size)


def test_the_shares_are_the_whole() -> None:
    assert sum(SHARES.values()) == pytest.approx(1)


@pytest.mark.parametrize("lane", LANES)
def test_a_lane_is_full_at_its_own_share_and_fetched_again_at_half(lane: Lane) -> None:
    backlog = Backlog(max_records=100, max_bytes=10**9)
    most = int(100 * SHARES[lane])
    filled(backlog, lane, most - 1, 1)
    assert not backlog.is_full(lane, paused=False)
    backlog.came(lane, 1)
    assert backlog.is_full(lane, paused=False)
    while backlog.waiting(lane) * 2 >= most:
        assert backlog.is_full(lane, paused=True)
        backlog.started(lane)
    assert not backlog.is_full(lane, paused=True)
    assert not any(backlog.is_full(other, paused=True) for other in LANES if other != lane)


def test_bytes_are_held_until_the_end_not_only_until_the_start() -> None:
    backlog = Backlog(max_records=1_000, max_bytes=1_000)
    filled(backlog, "heavy", 2, 100)
    backlog.started("heavy")
    backlog.started("heavy")
    assert backlog.is_full("heavy", paused=False)
    backlog.ended("heavy", 100)
    assert not backlog.is_full("heavy", paused=False)
    assert backlog.is_full("heavy", paused=True)
    backlog.ended("heavy", 100)
    assert not backlog.is_full("heavy", paused=True)


def test_what_rests_waits_again() -> None:
    backlog = Backlog(max_records=10, max_bytes=1_000)
    backlog.came("light", 5)
    backlog.started("light")
    backlog.rests("light")
    assert (backlog.waiting("light"), backlog.held_bytes("light")) == (1, 5)


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("bound", [1, 2, 3])
def test_the_smallest_bounds_still_let_every_lane_be_fetched(lane: Lane, bound: int) -> None:
    backlog = Backlog(max_records=bound, max_bytes=bound)
    assert not backlog.is_full(lane, paused=False)
    assert not backlog.is_full(lane, paused=True)
