"""Expected times: how ranges follow what comes true, and how wide they are."""

import random
from collections.abc import Callable
from math import exp

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.eta import AIM, SAID, Ranges, Spread


class TestSpread:
    def test_quantiles_are_those_of_what_was_met(self) -> None:
        drawn = random.Random(1)
        spread = Spread()
        for _ in range(500):
            spread.met(exp(drawn.gauss(0.0, 0.5)))
        assert spread.quantile(0.5) == pytest.approx(1.0, rel=0.25)
        assert spread.quantile(0.1) == pytest.approx(exp(-0.64), rel=0.3)
        assert spread.quantile(0.9) == pytest.approx(exp(0.64), rel=0.3)

    def test_what_is_long_ago_is_forgotten(self) -> None:
        spread = Spread()
        for ratio in (*[0.2] * 500, *[3.0] * 300):
            spread.met(ratio)
        assert spread.quantile(0.1) > 2.0
        assert spread.weight == pytest.approx(100, rel=0.05)

    def test_it_goes_on_when_its_numbers_have_grown_large(self) -> None:
        spread = Spread()
        for _ in range(10_000):
            spread.met(2.0)
        assert spread.quantile(0.5) == pytest.approx(2.0, rel=0.1)
        assert spread.weight == pytest.approx(100, rel=0.01)

    @given(st.lists(st.floats(0.0, 1e9), max_size=40), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
    def test_a_larger_share_is_never_a_smaller_ratio(
        self, ratios: list[float], one: float, other: float
    ) -> None:
        spread = Spread(ratios)
        assert spread.quantile(min(one, other)) <= spread.quantile(max(one, other))


def share_within(
    wrong: Callable[[random.Random, int], float], *, count: int = 3_000, delay: int = 0
) -> float:
    """Expectations of different lengths, each `wrong` by some factor; heard of `delay` later."""
    drawn, ranges = random.Random(5), Ranges()
    told: list[tuple[float, float, bool]] = []
    hits = 0
    for number in range(count):
        expected = exp(drawn.uniform(-1.0, 5.0))
        real = expected * wrong(drawn, number)
        low, high = ranges.of("end", "light", expected)
        assert 0 <= low <= high
        within = low <= real <= high
        hits += within
        told.append((expected, real, within))
        if len(told) > delay:
            was_expected, was_real, was_within = told.pop(0)
            ranges.met("end", "light", was_expected, was_real, within=was_within)
    return hits / count


class TestRanges:
    @pytest.mark.parametrize(
        "wrong",
        [
            lambda drawn, _: exp(drawn.gauss(0.0, 0.2)),
            lambda drawn, _: exp(drawn.gauss(0.7, 1.0)),
            # A world that changes for the worse and back.
            lambda drawn, n: exp(drawn.gauss(0.0, 0.3) + (1.2 if n // 500 % 2 else 0.0)),
            # Most are right, some ten times too short.
            lambda drawn, _: 10.0 if drawn.random() < 0.1 else exp(drawn.gauss(0.0, 0.1)),
        ],
    )
    @pytest.mark.parametrize("delay", [0, 60])
    def test_four_in_five_fall_within_whatever_the_expectations_are_worth(
        self, wrong: Callable[[random.Random, int], float], delay: int
    ) -> None:
        share = share_within(wrong, delay=delay)
        assert share >= SAID
        assert share == pytest.approx(AIM, abs=0.06)

    @pytest.mark.parametrize("delay", [0, 20, 60])
    def test_ranges_grow_beyond_what_was_met_while_things_become_ever_slower(
        self, delay: int
    ) -> None:
        """Each by 0.3% slower than the one before; what came of it is heard of `delay` later."""

        def slower(drawn: random.Random, number: int) -> float:
            return exp(drawn.gauss(0.0, 0.15) + 0.003 * max(0, number - 500))

        usual, drift = 500 * share_within(slower, count=500, delay=delay), 300
        assert (800 * share_within(slower, count=800, delay=delay) - usual) / drift > 0.75

    def test_what_is_well_known_has_a_narrow_range(self) -> None:
        ranges = Ranges()
        wide = ranges.of("call", "heavy", 10.0)
        for _ in range(200):
            low, high = ranges.of("call", "heavy", 10.0)
            ranges.met("call", "heavy", 10.0, 10.5, within=low <= 10.5 <= high)
        low, high = ranges.of("call", "heavy", 10.0)
        assert high - low < 0.25 * (wide[1] - wide[0])
        assert low <= 11.5
        assert high >= 9.5

    def test_a_lane_without_experience_leans_on_the_others(self) -> None:
        ranges = Ranges()
        for _ in range(100):
            ranges.met("end", "light", 10.0, 30.0, within=True)
        low, high = ranges.of("end", "heavy", 10.0)
        assert low > 15
        assert high < 60

    def test_before_anything_is_known_there_is_a_range_around_what_is_expected(self) -> None:
        low, high = Ranges().of("start", "batch", 20.0)
        assert low < 10
        assert high > 30

    @given(
        st.sampled_from(["start", "end", "call"]),
        st.floats(0.0, 1e6),
        st.floats(0.0, 1e6),
        st.lists(st.booleans(), min_size=30, max_size=30),
    )
    def test_any_time_may_be_expected_and_met(
        self, kind: str, expected: float, real: float, hits: list[bool]
    ) -> None:
        ranges = Ranges()
        for within in hits:
            ranges.met(kind, "light", expected, real, within=within)  # type: ignore[arg-type]  # one of the kinds
        low, high = ranges.of(kind, "light", expected)  # type: ignore[arg-type]  # as above
        assert 0 <= low <= high
