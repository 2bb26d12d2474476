"""What work waits for and what calls take: the figures that routing reckons with."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.expected_time import ANY, Lateness, ServiceTimes, call_seconds
from broker.core.lane_wait import lane_wait
from broker.core.lanes import LANES, Lane

weights = st.lists(st.integers(0, 1_000_000), min_size=4, max_size=4)


class TestWaitOfALane:
    def test_a_lane_with_nothing_in_it_waits_for_nobody(self) -> None:
        assert lane_wait((0, 5_000, 50_000, 0), "light", 1_000) == 0.0

    def test_light_ones_hardly_wait_for_heavy_ones(self) -> None:
        light = lane_wait((1_000, 0, 100_000, 0), "light", 1_000)
        heavy = lane_wait((1_000, 0, 100_000, 0), "heavy", 1_000)
        assert light < 2.0
        assert heavy > 100.0

    def test_alone_a_lane_has_what_is_not_kept_for_light_ones(self) -> None:
        assert lane_wait((0, 0, 7_500, 0), "heavy", 1_000) == pytest.approx(10.0)
        assert lane_wait((10_000, 0, 0, 0), "light", 1_000) == pytest.approx(10.0)

    def test_what_one_lane_leaves_flows_to_the_others(self) -> None:
        apart = lane_wait((0, 0, 7_500, 0), "heavy", 1_000)
        beside = lane_wait((0, 100, 7_500, 0), "heavy", 1_000)
        assert apart < beside <= apart + 100 / 750 + 1e-6

    @given(weights, st.sampled_from(LANES), st.floats(10, 1e5))
    def test_no_wait_is_longer_than_all_work_at_the_speed_that_others_may_use(
        self, waiting: list[int], lane: Lane, speed: float
    ) -> None:
        wait = lane_wait(waiting, lane, speed)
        mine = waiting[LANES.index(lane)]
        assert mine / speed * (1 - 1e-5) <= wait <= sum(waiting) / (0.75 * speed) * (1 + 1e-5)


class TestWhatCallsTake:
    def test_the_first_token_and_each_further_one_are_told_apart(self) -> None:
        times, drawn = ServiceTimes(), random.Random(5)
        for _ in range(300):
            tokens = drawn.randrange(20, 900)
            times.measured("chat", tokens, 0.4 + 0.012 * tokens * drawn.uniform(0.9, 1.1))
        first, each = times.lines()["chat"]
        assert first == pytest.approx(0.4, abs=0.3)
        assert each == pytest.approx(0.012, rel=0.08)
        assert call_seconds(times.lines(), "chat", 500) == pytest.approx(6.4, rel=0.05)

    def test_a_provider_that_becomes_slow_is_known_within_some_tens_of_calls(self) -> None:
        times = ServiceTimes()
        for tokens in range(100, 300):
            times.measured("chat", tokens, 0.01 * tokens)
        for tokens in range(100, 200):
            times.measured("chat", tokens, 0.04 * tokens)
        known = call_seconds(times.lines(), "chat", 150)
        assert known == pytest.approx(6.0, rel=0.25)

    def test_a_model_nobody_called_is_taken_to_be_like_all_together(self) -> None:
        times = ServiceTimes()
        assert call_seconds(times.lines(), "chat", 100) is None
        for _ in range(5):
            times.measured("chat", 100, 2.0)
        assert call_seconds(times.lines(), "other", 200) == pytest.approx(4.0)
        assert set(times.lines()) == {"chat", ANY}

    def test_calls_without_tokens_have_only_a_first_part(self) -> None:
        times = ServiceTimes()
        for _ in range(5):
            times.measured("embedding", 0, 0.3)
        first, each = times.lines()["embedding"]
        assert (round(first, 6), each) == (0.3, 0.0)

    @given(st.lists(st.tuples(st.integers(0, 5_000), st.floats(0, 300)), max_size=60))
    def test_no_line_is_ever_below_zero(self, calls: list[tuple[int, float]]) -> None:
        times = ServiceTimes()
        for tokens, seconds in calls:
            times.measured("chat", tokens, seconds)
        for first, each in times.lines().values():
            assert first >= -1e-6
            assert each >= 0.0

    def test_models_without_end_take_no_memory_without_end(self) -> None:
        times = ServiceTimes()
        for number in range(10_000):
            times.measured(f"m{number}", 10, 1.0)
        assert len(times.lines()) <= 101


class TestHowWrongItWas:
    def test_answers_three_times_as_late_as_said_triple_what_is_said(self) -> None:
        late = Lateness()
        for _ in range(60):
            late.met("heavy", 10.0, 30.0, 100.0)
        assert late.factors(100.0)["heavy"] == pytest.approx(3.0, rel=0.05)
        assert "light" not in late.factors(100.0)

    def test_it_is_forgotten_when_nothing_more_is_late(self) -> None:
        late = Lateness()
        for _ in range(60):
            late.met("light", 1.0, 4.0, 100.0)
        assert late.factors(200.0)["light"] < 1.1

    def test_one_stray_answer_moves_it_little(self) -> None:
        late = Lateness()
        for _ in range(20):
            late.met("light", 2.0, 2.0, 100.0)
        late.met("light", 2.0, 600.0, 100.0)
        assert late.factors(100.0)["light"] < 1.2
