"""Lane thresholds fitted to traffic: total, in order, slow, and where they should be."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.core.lane_fitting import (
    EVERY_S,
    FEWEST,
    LARGEST,
    LEAST_GAP,
    LEAST_OFF,
    MOST_STEP,
    Bounds,
    LaneFitting,
)
from broker.core.lanes import LANES, LanePlan, default_ranges, lane_for

T0 = 1_795_000_000.0
SETTINGS = Bounds(2_000, 8_000)


def fitting(weights: Sequence[int] = (), light: float = 0.3, heavy: float = 0.3) -> LaneFitting:
    made = LaneFitting(light, heavy, 1_800.0, T0)
    for weight in weights:
        made.saw(weight, T0)
    return made


def settled(made: LaneFitting, bounds: Bounds, changes: int = 500) -> tuple[Bounds, int]:
    """Where the bounds come to rest, and after how many changes."""
    now = changed = T0
    for count in range(changes):
        now += EVERY_S
        proposal = made.proposal(bounds, changed, now)
        if proposal is None:
            return bounds, count
        bounds, changed = proposal.new, now
    raise AssertionError(f"never at rest: {bounds}")


WEIGHTS = st.lists(st.integers(1, LARGEST * 4), min_size=250, max_size=400)
STARTS = st.integers(1, 1 << 20).flatmap(
    lambda light: st.builds(Bounds, st.just(light), st.integers(light + 1, light * 50 + 2))
)


@settings(max_examples=40, deadline=None)
@given(WEIGHTS, STARTS, st.floats(0.01, 0.48), st.floats(0.01, 0.48))
def test_whatever_is_seen_steps_are_small_in_order_and_every_weight_has_a_lane(
    weights: list[int], bounds: Bounds, light: float, heavy: float
) -> None:
    made = fitting(weights, light, heavy)
    now = T0
    for _ in range(12):
        now += EVERY_S
        proposal = made.proposal(bounds, now - EVERY_S, now)
        if proposal is None:
            break
        new = proposal.new
        for before, after in (
            (bounds.light_max, new.light_max),
            (bounds.heavy_min, new.heavy_min),
        ):
            assert before / MOST_STEP - 1 <= after <= before * MOST_STEP + 1
        gap = bounds.heavy_min / bounds.light_max
        forgiven = LEAST_OFF**2
        assert new.heavy_min / new.light_max >= min(gap, LEAST_GAP) / forgiven - 0.2
        plan = LanePlan(new.light_max, new.heavy_min, default_ranges(12))
        order = [LANES.index(lane_for(weight, "standard", plan)) for weight in sorted(weights)]
        assert order == sorted(order), "a heavier prompt is never in a lighter lane"
        bounds = new


def test_they_come_to_rest_where_each_lane_holds_its_share_of_the_work() -> None:
    rng = random.Random(7)
    weights = [round(rng.lognormvariate(6.5, 1.3)) + 1 for _ in range(20_000)]
    bounds, changes = settled(fitting(weights), SETTINGS)
    whole = sum(weights)
    light = sum(weight for weight in weights if weight <= bounds.light_max) / whole
    heavy = sum(weight for weight in weights if weight >= bounds.heavy_min) / whole
    assert light == pytest.approx(0.3, abs=0.05)
    assert heavy == pytest.approx(0.3, abs=0.05)
    assert 0 < changes < 40


def test_two_classifiers_that_saw_the_same_in_another_order_want_the_same() -> None:
    rng = random.Random(8)
    seen = [(round(rng.lognormvariate(7, 1)) + 1, T0 + rng.random() * 9_000) for _ in range(2_000)]
    wanted = []
    for order in (seen, sorted(seen), seen[::-1]):
        made = fitting()
        for weight, at in order:
            made.saw(weight, at)
        wanted.append(made.wanted(T0 + 9_000))
    assert wanted[0] is not None
    for other in wanted[1:]:
        assert other is not None
        assert other.light_max == pytest.approx(wanted[0].light_max, rel=0.01)
        assert other.heavy_min == pytest.approx(wanted[0].heavy_min, rel=0.01)


def test_one_weight_alone_still_makes_three_lanes_with_a_gap() -> None:
    wanted = fitting([1_000] * 300).wanted(T0)
    assert wanted is not None
    assert wanted.light_max < 1_000 < wanted.heavy_min
    assert wanted.heavy_min >= wanted.light_max * LEAST_GAP


def test_nothing_is_changed_before_enough_was_seen_nor_long_after() -> None:
    few = fitting([100] * (int(FEWEST) - 1))
    assert few.proposal(SETTINGS, 0.0, T0) is None
    enough = fitting([100] * (int(FEWEST) + 1))
    assert enough.proposal(SETTINGS, 0.0, T0) is not None
    assert enough.proposal(SETTINGS, 0.0, T0 + 10_000) is None, "it has faded"


def test_it_waits_a_minute_after_a_change_and_stays_where_little_is_wrong() -> None:
    made = fitting([1_000] * 300)
    assert made.proposal(SETTINGS, T0, T0 + EVERY_S - 1) is None
    assert made.proposal(SETTINGS, T0, T0 + EVERY_S) is not None
    wanted = made.wanted(T0)
    assert wanted is not None
    near = Bounds(round(wanted.light_max * 1.08), round(wanted.heavy_min / 1.08))
    assert made.proposal(near, T0, T0 + EVERY_S) is None


def test_new_traffic_moves_them_and_old_traffic_is_forgotten() -> None:
    made = fitting([1_000] * 5_000)
    for number in range(5_000):
        made.saw(20_000, T0 + 40 * 1_800 + number / 100)
    wanted = made.wanted(T0 + 40 * 1_800 + 60)
    assert wanted is not None
    assert wanted.light_max > 8_000


def test_a_proposal_says_in_figures_why() -> None:
    proposal = fitting([500] * 300).proposal(SETTINGS, 0.0, T0)
    assert proposal is not None
    assert proposal.why.startswith("light holds 100% of the work (should be 30%), heavy 0%")


def test_other_shares_and_another_half_life_keep_what_was_seen() -> None:
    rng = random.Random(3)
    weights = [round(rng.lognormvariate(6.5, 1.3)) + 1 for _ in range(2_000)]
    made, fresh = fitting(weights), fitting(weights, light=0.5, heavy=0.2)
    later = T0 + 3_600.0
    assert made.wanted(later) != fresh.wanted(later)
    made.use(0.5, 0.2, 60.0, later)
    assert made.wanted(later) == fresh.wanted(later)
    assert made.wanted(later + 120.0) is None, "two half-lives of the new one, and too few are left"
    assert fresh.wanted(later + 120.0) is not None
