"""How much a worker holds, and which partitions it fetches."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.lanes import LANES, Lane
from tests.workers.building import PLAN, job, partition_of
from workers.backlog import OWN, SHARES, Backlog
from workers.job import Job

light = st.sampled_from(PLAN.partitions["light"])


def came(backlog: Backlog, partition: int, records: int, size: int = 1) -> list[Job]:
    jobs = [job(partition=partition, size=size) for _ in range(records)]
    for one in jobs:
        backlog.came(one)
    return jobs


def fetched(backlog: Backlog, partitions: Iterable[int], *, most: int = 10_000) -> list[Job]:
    """Read one after the other as long as anything may be read, as one that is never paused."""
    jobs: list[Job] = []
    while len(jobs) < most:
        lanes = {one: PLAN.lane_of(one) or "light" for one in partitions}
        ready = [one for one in lanes if not backlog.is_full(lanes[one], one, paused=False)]
        if not ready:
            break
        for one in ready:
            jobs += came(backlog, one, 1)
    return jobs


def test_the_shares_are_the_whole() -> None:
    assert sum(SHARES.values()) == pytest.approx(1)


@pytest.mark.parametrize("lane", LANES)
def test_a_partition_alone_gets_two_thirds_and_is_fetched_again_at_half_of_it(lane: Lane) -> None:
    backlog = Backlog(max_records=3_000, max_bytes=10**9)
    bound, partition = int(3_000 * SHARES[lane]), partition_of(lane)
    jobs = fetched(backlog, [partition])
    assert len(jobs) == pytest.approx(bound * OWN / (1 + OWN), abs=2)
    while backlog.is_full(lane, partition, paused=True):
        backlog.started(jobs.pop())
    assert len(jobs) == pytest.approx(bound * OWN / (1 + OWN) / 2, abs=2)
    others = [partition_of(other) for other in LANES if other != lane]
    assert not any(
        backlog.is_full(PLAN.lane_of(other) or lane, other, paused=True) for other in others
    )


@pytest.mark.parametrize("flooded", [1, 2, 3])
def test_flooded_partitions_leave_room_for_the_others_of_their_lane(flooded: int) -> None:
    backlog = Backlog(max_records=2_000, max_bytes=10**9)
    fetched(backlog, range(flooded))
    free = backlog.free("light")
    assert free >= 800 / (1 + flooded * OWN) - flooded
    for quiet in range(flooded, 6):
        for one in came(backlog, quiet, 10):
            assert not backlog.is_full("light", quiet, paused=False)
            backlog.started(one)


@given(st.lists(st.tuples(light, st.integers(1, 60), st.booleans()), max_size=60))
def test_a_lane_as_a_whole_is_bounded_whatever_comes_where(
    steps: list[tuple[int, int, bool]],
) -> None:
    backlog = Backlog(max_records=100, max_bytes=2_000)
    held: list[Job] = []
    for partition, records, ends in steps:
        for _ in range(records):
            if not backlog.is_full("light", partition, paused=False):
                held += came(backlog, partition, 1, size=records)
        assert backlog.waiting("light") <= 40
        assert backlog.held_bytes("light") < 800 + 60
        assert backlog.free("light") == 40 - len(held)
        if ends and held:
            one = held.pop(0)
            backlog.started(one)
            backlog.ended(one)


def test_bytes_are_held_until_the_end_not_only_until_the_start() -> None:
    backlog = Backlog(max_records=1_000, max_bytes=1_500)
    partition = partition_of("heavy")
    jobs = came(backlog, partition, 2, 100)
    for one in jobs:
        backlog.started(one)
    assert backlog.is_full("heavy", partition, paused=False)
    backlog.ended(jobs[0])
    assert not backlog.is_full("heavy", partition, paused=False)
    assert backlog.is_full("heavy", partition, paused=True)
    backlog.ended(jobs[1])
    assert not backlog.is_full("heavy", partition, paused=True)


def test_what_rests_waits_again() -> None:
    backlog = Backlog(max_records=10, max_bytes=1_000)
    (one,) = came(backlog, 0, 1, 5)
    backlog.started(one)
    backlog.rests(one)
    assert (backlog.waiting("light"), backlog.held_bytes("light")) == (1, 5)
    assert (backlog.waiting(0), backlog.held_bytes(0)) == (1, 5)


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("bound", [1, 2, 3])
def test_the_smallest_bounds_still_let_every_partition_be_fetched(lane: Lane, bound: int) -> None:
    backlog = Backlog(max_records=bound, max_bytes=bound)
    for partition in PLAN.partitions[lane]:
        assert not backlog.is_full(lane, partition, paused=False)
        assert not backlog.is_full(lane, partition, paused=True)
