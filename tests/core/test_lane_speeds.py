"""How fast a lane is, now and usually, and when what waits in it starts by that."""

import pytest

from broker.core.lane_speeds import LaneSpeeds, Start
from broker.core.lanes import LANES

NOBODY = dict.fromkeys(LANES, 0)


class TestLaneSpeeds:
    def test_it_is_what_starts_while_work_waits(self) -> None:
        speeds, started = LaneSpeeds(), 0.0
        for look in range(40):
            speeds.looked({"light": started}, {**NOBODY, "light": 5}, look * 0.5)
            started += 50.0
        assert speeds.of("light", 20.0) == pytest.approx(100.0)
        assert speeds.of("heavy", 20.0) is None

    def test_time_without_work_does_not_count(self) -> None:
        speeds, started = LaneSpeeds(), 0.0
        for look in range(40):
            busy = look < 20
            speeds.looked({"light": started}, {**NOBODY, "light": 3 * busy}, look * 0.5)
            started += 50.0 if busy else 0.0
        assert speeds.of("light", 20.0) == pytest.approx(100.0)

    def test_it_follows_a_change_within_some_tens_of_seconds_and_grows_stale(self) -> None:
        speeds, started = LaneSpeeds(), 0.0
        for look in range(200):
            speeds.looked({"light": started}, {**NOBODY, "light": 5}, look * 0.5)
            started += 50.0 if look < 100 else 10.0
        known = speeds.of("light", 100.0)
        assert known is not None
        assert 15.0 < known < 40.0
        assert speeds.of("light", 200.0) is None

    def test_too_short_a_time_says_nothing(self) -> None:
        speeds = LaneSpeeds()
        speeds.looked({"light": 0.0}, {**NOBODY, "light": 5}, 0.0)
        speeds.looked({"light": 50.0}, {**NOBODY, "light": 5}, 0.5)
        assert speeds.of("light", 0.5) is None

    def test_the_usual_speed_outlives_a_halt_of_some_seconds(self) -> None:
        speeds, started = LaneSpeeds(), 0.0
        for look in range(240):
            speeds.looked({"light": started}, {**NOBODY, "light": 5}, look * 0.5)
            started += 50.0 if look < 200 else 0.0
        known, usual = speeds.of("light", 120.0), speeds.usual("light")
        assert known is not None
        assert usual is not None
        assert known < 30.0
        assert usual > 75.0
        assert speeds.usual("heavy") is None


class TestStart:
    def test_at_a_steady_speed_it_is_weight_over_speed(self) -> None:
        start = Start(100.0, 100.0)
        assert [start.after(500.0) for _ in range(3)] == pytest.approx([5.0, 10.0, 15.0])

    @pytest.mark.parametrize("speed", [80.0, 125.0])
    def test_a_speed_not_far_from_the_usual_one_is_taken_to_stay(self, speed: float) -> None:
        assert Start(speed, 100.0).after(600.0) == pytest.approx(600.0 / speed)

    def test_a_lane_that_halts_is_not_taken_to_halt_for_ever(self) -> None:
        start = Start(0.001, 100.0)
        last = 0.0
        for _ in range(100):
            last = start.after(100.0)
        # At the usual speed it would be 100 s.
        assert 100.0 < last < 250.0

    def test_a_lane_that_races_ahead_does_so_for_a_while(self) -> None:
        start = Start(1_000.0, 100.0)
        first = start.after(100.0)
        last = [start.after(100.0) for _ in range(200)][-1]
        assert first == pytest.approx(0.1)
        assert 20.0 < last < 60.0
