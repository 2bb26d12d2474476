"""Who is kept apart, and where to: properties and the case that it is for."""

from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from broker.core.lanes import LANES, Lane
from broker.core.sharding import ShardRules, TenantShards, apart

LIGHT: Final = range(6)
CROWDED: Final = 2.0
QUIET: Final = 0.0


def sending(
    shards: TenantShards,
    weights: dict[str, int],
    wait_s: float,
    *,
    seconds: int = 10,
    at: float = 0.0,
) -> float:
    """Each tenant sends its weight each second; returns the time after it."""
    for second in range(seconds):
        for tenant, weight in weights.items():
            shards.sent("light", tenant, weight, wait_s, at + second)
    return at + seconds


FIFTY: Final = {f"t{n}": 10 for n in range(50)}
FLOOD: Final = {**FIFTY, "noisy": 1_000}


def test_a_flood_leaves_a_partition_that_it_never_goes_to() -> None:
    shards = TenantShards(0.0)
    now = sending(shards, FLOOD, CROWDED)
    theirs = shards.within("light", "noisy", LIGHT, now)
    for quiet in FIFTY:
        own = shards.within("light", quiet, LIGHT, now)
        assert own
        assert not set(own) & set(theirs)


def test_nobody_is_kept_apart_while_nothing_waits() -> None:
    shards = TenantShards(0.0)
    now = sending(shards, FLOOD, QUIET)
    assert shards.within("light", "noisy", LIGHT, now) == LIGHT


def test_one_that_is_alone_has_all_partitions_however_much_it_sends() -> None:
    shards = TenantShards(0.0)
    now = sending(shards, {"only": 10_000}, CROWDED)
    assert shards.within("light", "only", LIGHT, now) == LIGHT


def test_two_that_send_alike_are_not_noisy() -> None:
    shards = TenantShards(0.0)
    now = sending(shards, {"a": 500, "b": 400}, CROWDED)
    assert shards.noisy("light", now) == {}


def test_it_ends_when_the_lane_is_no_longer_crowded_or_the_flood_is_over() -> None:
    shards = TenantShards(0.0)
    now = sending(shards, FLOOD, CROWDED)
    assert shards.noisy("light", now)
    later = sending(shards, FLOOD, QUIET, seconds=20, at=now)
    assert shards.noisy("light", later) == {}
    over = sending(shards, FIFTY, CROWDED, seconds=300, at=later)
    assert shards.noisy("light", over) == {}


def test_other_lanes_are_not_touched() -> None:
    shards = TenantShards(0.0)
    now = sending(shards, FLOOD, CROWDED)
    assert shards.within("heavy", "noisy", range(9, 11), now) == range(9, 11)


def test_ten_thousand_tenants_are_counted_in_a_bounded_table_and_the_flood_is_still_seen() -> None:
    shards = TenantShards(0.0)
    many = {f"t{n}": 1 for n in range(10_000)}
    now = sending(shards, {**many, "noisy": 20_000}, CROWDED, seconds=3)
    assert list(shards.noisy("light", now)) == ["noisy"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(LANES),
            st.sampled_from(["a", "b", "c", "d"]),
            st.integers(1, 100_000),
            st.floats(0, 60),
            st.floats(0, 1e6),
        ),
        max_size=60,
    ),
    st.integers(1, 12),
)
def test_whatever_was_sent_there_is_always_a_place_in_the_lane(
    sent: list[tuple[Lane, str, int, float, float]], partitions: int
) -> None:
    shards = TenantShards(0.0, ShardRules(look_every_s=0.0))
    now, own = 0.0, range(3, 3 + partitions)
    for lane, tenant, weight, wait_s, pause in sent:
        now += pause
        shards.sent(lane, tenant, weight, wait_s, now)
        noisy = shards.noisy(lane, now)
        places = {one: shards.within(lane, one, own, now) for one in ("a", "b", "c", "d", "new")}
        assert all(place and set(place) <= set(own) for place in places.values())
        if noisy and partitions > 1:
            loud = set().union(*(places[one] for one in noisy))
            assert all(not loud & set(places[one]) for one in places if one not in noisy)


@given(st.text(), st.integers(1, 48), st.floats(0, 1))
def test_who_is_kept_apart_leaves_a_partition_and_has_the_same_each_time(
    tenant: str, size: int, share: float
) -> None:
    lane = range(5, 5 + size)
    own = apart(tenant, lane, share)
    assert own
    assert set(own) <= set(lane)
    assert len(own) < size or size == 1
    assert own == apart(tenant, lane, share)
