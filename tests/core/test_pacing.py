import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.pacing import Arrivals, Pacing

PACING = Pacing()


def transactions_a_second(rate: float, duration_s: float) -> tuple[float, float]:
    """Replay Poisson arrivals at `rate`; transactions a second, and the mean wait for one."""
    drawn = random.Random(1)
    arrivals = Arrivals()
    now, last, pending, count, waited = 0.0, -math.inf, 0, 0, 0.0
    results = 0
    coming = drawn.expovariate(rate)
    while now < 20:
        begin = PACING.next_begin(
            now, last, pending=pending, rate=arrivals.rate(now), last_duration=duration_s
        )
        upto = min(coming, begin)
        waited += pending * (upto - now)
        now = upto
        if begin <= coming:
            last, pending, count = now, 0, count + 1
            continue
        pending += 1
        results += 1
        arrivals.arrived(now, 1)
        coming = now + drawn.expovariate(rate)
    return count / now, waited / results


def test_idle_results_are_committed_at_once() -> None:
    assert PACING.next_begin(10, 0, pending=1, rate=4, last_duration=0.006) == 10
    assert PACING.next_begin(10, 9.999, pending=1, rate=4, last_duration=0.006) == 10


def test_nothing_pending_never_begins() -> None:
    assert PACING.next_begin(10, 0, pending=0, rate=900, last_duration=0.01) == math.inf


def test_a_full_transaction_does_not_wait() -> None:
    assert PACING.next_begin(10, 9.999, pending=500, rate=9000, last_duration=0.01) == 10


@pytest.mark.parametrize("rate", [500, 1000, 3000])
def test_under_load_there_are_25_to_50_transactions_a_second(rate: float) -> None:
    count, _ = transactions_a_second(rate, 0.007)
    assert 20 <= count <= 52


@pytest.mark.parametrize(
    ("rate", "most_s", "most"), [(5, 0.0005, 5), (20, 0.002, 20), (50, 0.005, 50), (200, 0.01, 90)]
)
def test_a_low_rate_waits_little(rate: float, most_s: float, most: int) -> None:
    count, wait = transactions_a_second(rate, 0.007)
    assert count <= most * 1.1
    assert wait <= most_s


def test_a_slow_broker_gets_fewer_transactions() -> None:
    assert PACING.spacing(500, 0.060) == pytest.approx(0.060)
    assert PACING.spacing(500, 5.0) == PACING.slow_s


@given(st.floats(0, 1e5), st.floats(0, 1e5), st.floats(0, 10))
def test_spacing_grows_with_the_rate_and_is_bounded(one: float, two: float, last: float) -> None:
    low, high = sorted((one, two))
    assert 0 <= PACING.spacing(low, last) <= PACING.spacing(high, last) <= PACING.slow_s


@given(
    st.floats(0, 1e9),
    st.floats(0, 10),
    st.integers(1, 10**6),
    st.floats(0, 1e6),
    st.floats(0, 100),
)
def test_a_wait_is_bounded(now: float, ago: float, pending: int, rate: float, last: float) -> None:
    begin = PACING.next_begin(now, now - ago, pending=pending, rate=rate, last_duration=last)
    assert now <= begin <= now + PACING.slow_s + 1e-6


def test_a_rate_is_learned_and_forgotten() -> None:
    arrivals = Arrivals()
    for tick in range(400):
        arrivals.arrived(tick / 200, 1)
    assert arrivals.rate(2.0) == pytest.approx(200, rel=0.1)
    assert arrivals.rate(4.0) < 1
    assert arrivals.rate(1.0) <= 200 * 1.05  # a clock that steps back


@pytest.mark.parametrize(
    ("rate", "spacing"),
    [(50, 0.0), (75, 0.004), (100, 0.008), (550, 0.024), (1000, 0.040), (9000, 0.040)],
)
def test_spacing_ramps_up(rate: float, spacing: float) -> None:
    assert PACING.spacing(rate, 0.0) == pytest.approx(spacing)
