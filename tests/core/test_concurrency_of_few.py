"""Providers that take a handful of calls and let the others wait, and machines that waver.

A machine that is busy looks like such a provider: times go up and down, and each cut seems right.
"""

import random
import statistics
from functools import partial

import pytest

from broker.core.concurrency import LEAST, ConcurrencyLimit
from broker.core.limit_pairs import WINDOWS, Pairs
from tests.core.provider_model import provider_of, simulate

SEEDS = range(3)


@pytest.mark.parametrize("seconds", [0.2, 0.6])
@pytest.mark.parametrize("slots", [2, 3, 4, 6])
def test_few_places_are_found_without_a_refusal(slots: int, seconds: float) -> None:
    found = []
    for seed in SEEDS:
        limit = ConcurrencyLimit(64, 0.0)
        ends = 80 + 200 * seconds
        run = simulate(provider_of(seconds, slots, 10_000), limit, ends, seed=seed)
        found.append(statistics.fmean(run.limits_between(ends - 40, ends)))
    # Two of 0.6 s each: the first 64 calls alone take 20 s, so it is still on its way.
    most = slots + 1 if slots > 2 or seconds < 0.5 else LEAST
    assert slots - 1 <= statistics.median(found) <= most, found


@pytest.mark.parametrize(("seconds", "hold"), [(0.2, 4), (0.6, 1), (0.6, 4), (1.5, 10)])
def test_a_machine_that_wavers_is_not_taken_for_few_places(seconds: float, hold: int) -> None:
    """Its speed changes each so many seconds, by a factor of two on average."""
    for seed in SEEDS:
        drawn = random.Random(seed)
        provider = provider_of(seconds, 1_000, 0)
        changes = [
            (float(at), partial(setattr, provider, "speed", drawn.lognormvariate(-0.5, 0.7)))
            for at in range(3, 150, hold)
        ]
        run = simulate(provider, ConcurrencyLimit(32, 0.0), 150, seed=seed, changes=changes)
        limits = run.limits_between(30, 150)
        assert min(limits) >= LEAST // 2
        assert sum(limit < LEAST for limit in limits) < 0.5 * len(limits)


@pytest.mark.parametrize("most", [2, 4, 8])
def test_a_small_number_that_was_set_is_not_halved_to_see(most: int) -> None:
    limit = ConcurrencyLimit(most, 0.0)
    run = simulate(provider_of(0.3, 100, 0), limit, 150)
    assert min(run.limits_between(0, 150)) == most


def test_one_pair_that_does_not_agree_is_enough_to_leave_the_calls() -> None:
    pairs = Pairs(8)
    assert pairs.limit == 8
    assert pairs.measured(2.0)
    assert pairs.limit == 4
    assert pairs.measured(1.0)
    assert not pairs.measured(1.1)
    assert not pairs.done


@pytest.mark.parametrize("slots", [4, 5, 6])
def test_what_pairs_find_is_what_is_served_at_once(slots: int) -> None:
    pairs = Pairs(8)
    for _ in range(WINDOWS):
        assert not pairs.done
        assert pairs.measured(max(1.0, pairs.limit / slots))
    assert pairs.done
    assert pairs.found == pytest.approx(slots)
    assert pairs.alone == pytest.approx(1.0)
