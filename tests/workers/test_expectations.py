"""What a worker learns of its calls: how long they take, how wrong that was, and which hang."""

import time

import pytest

from broker.records.work import RouteStep
from tests.workers.building import MODEL, job, work
from workers.expectations import Expectations
from workers.tallies import Speed

NOW = 1_000_000.0


def learned(seconds: float = 0.2, calls: int = 40) -> tuple[Expectations, Speed]:
    found, speed = Expectations(), Speed()
    for _ in range(calls):
        found.answered(job(), seconds, 20, NOW)
        speed.measured("light", 100, seconds)
    return found, speed


def test_calls_that_hang_make_a_provider_slow_before_any_has_ended() -> None:
    found, speed = learned()
    assert speed.of(8) == pytest.approx(4_000)
    for _ in range(8):
        found.began(job(), NOW)
    assert speed.of(8, found.overdue(NOW + 1.0)) == pytest.approx(4_000)
    assert speed.of(8, found.overdue(NOW + 4.0)) == pytest.approx(200)
    assert speed.of(8, found.overdue(NOW + 10.0)) == pytest.approx(80)


def test_one_call_that_hangs_costs_its_own_slot_only() -> None:
    found, speed = learned()
    hangs = job()
    found.began(hangs, NOW)
    slow = speed.of(8, found.overdue(NOW + 50.0))
    assert slow == pytest.approx(3_500, rel=0.01)
    found.over(hangs)
    assert speed.of(8, found.overdue(NOW + 51.0)) == pytest.approx(4_000)


def test_more_calls_under_way_than_slots_never_make_a_speed_below_zero() -> None:
    found, speed = learned()
    for _ in range(8):
        found.began(job(), NOW)
    assert (speed.of(2, found.overdue(NOW + 100.0)) or 0.0) > 0.0


def test_the_expectation_of_a_route_is_compared_with_what_came_true() -> None:
    found, now = Expectations(), time.time()
    notes = (
        {"provider": "google", "time_s": 99.0},
        {"provider": "azure", "time_s": 4.0, "late": 2.0},
    )
    step = RouteStep("azure", "preferred", now - 6.0, "preferred", notes)
    for _ in range(60):
        given = work(route=())
        one = job(given.moved(step, attempt=0))
        found.answered(one, 1.0, 20, now)
    # Two seconds were expected before the correction, and six it took.
    assert found.late(now)["light"] == pytest.approx(6.25 / 2.25, rel=0.05)


def test_a_route_without_an_expectation_teaches_nothing_of_lateness() -> None:
    found, _ = learned()
    assert found.late(NOW) == {}
    assert set(found.lines()) == {"", MODEL}
