import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.lanes import LANES, Lane, LanePlan, LanePlanError, default_ranges, lane_for

PLAN = LanePlan(light_max=2000, heavy_min=8000, partitions=default_ranges(12))
USUAL = st.sampled_from(["interactive", "standard"])


def test_twelve_partitions_make_the_lanes_of_the_architecture() -> None:
    assert default_ranges(12) == {
        "light": range(6),
        "medium": range(6, 9),
        "heavy": range(9, 11),
        "batch": range(11, 12),
    }


@given(st.integers(4, 2000))
def test_every_partition_has_one_lane_and_every_lane_a_partition(partitions: int) -> None:
    plan = LanePlan(1, 2, default_ranges(partitions))
    assert plan.total == partitions
    lanes = [plan.lane_of(partition) for partition in range(partitions)]
    assert set(lanes) == set(LANES)
    assert sorted(lanes, key=lambda lane: LANES.index(lane or "batch")) == lanes
    assert plan.lane_of(partitions) is None
    assert len(plan.partitions["light"]) >= len(plan.partitions["medium"])


bounds = st.tuples(st.integers(1, 10**6), st.integers(1, 10**6)).map(
    lambda drawn: (drawn[0], drawn[0] + drawn[1])
)


@given(bounds, st.data())
def test_every_weight_has_one_lane_and_a_heavier_one_never_a_lighter_lane(
    given: tuple[int, int], data: st.DataObject
) -> None:
    light_max, heavy_min = given
    plan = LanePlan(light_max, heavy_min, PLAN.partitions)
    at_the_edges = st.sampled_from([light_max, light_max + 1, heavy_min - 1, heavy_min])
    weights = sorted(data.draw(st.lists(at_the_edges | st.integers(1, 10**9), min_size=1)))
    lanes = [lane_for(weight, data.draw(USUAL), plan) for weight in weights]
    for weight, lane in zip(weights, lanes, strict=True):
        inside = {
            "light": weight <= light_max,
            "medium": light_max < weight < heavy_min,
            "heavy": weight >= heavy_min,
        }
        assert [name for name, holds in inside.items() if holds] == [lane]
        assert plan.partitions[lane], "and the lane has a place"
        assert lane_for(weight, "batch", plan) == "batch"
    assert lanes == sorted(lanes, key=LANES.index)


@pytest.mark.parametrize("partitions", [0, 3])
def test_too_few_partitions_are_refused(partitions: int) -> None:
    with pytest.raises(LanePlanError):
        default_ranges(partitions)


@pytest.mark.parametrize(
    ("light_max", "heavy_min", "ranges"),
    [
        (5, 5, {}),
        (0, 5, {}),
        (1, 5, {"light": range(0)}),
        (1, 5, {"light": range(7)}),
        (1, 5, {"batch": range(13, 14)}),
    ],
)
def test_a_plan_that_breaks_lanes_is_refused(
    light_max: int, heavy_min: int, ranges: dict[Lane, range]
) -> None:
    with pytest.raises(LanePlanError):
        LanePlan(light_max, heavy_min, {**default_ranges(12), **ranges})
