"""A quiet time, then more prompts than there are places: nothing that was quiet may keep it low.

Answers are as far apart in length as those of real traces, so few calls tell little.
"""

import random
import statistics
from functools import partial

import pytest

from broker.core.concurrency import ConcurrencyLimit
from broker.core.limit_phases import START
from tests.core.provider_model import Provider, Run, Worker, provider_of, simulate

SEEDS = range(8)
SLOTS = 60
_DRAWN = random.Random(7)
LENGTHS = [
    max(1, round(_DRAWN.lognormvariate(mu, sigma)))
    for mu, sigma, share in ((5.0, 0.9, 400), (2.9, 0.8, 200))
    for _ in range(share)
]
"""Conversations, and code with short answers among them: 3 s on average, from 0.4 s to 30 s."""


def bursts(quiet: float, few: int, seed: int, *, after: float, most: int = SLOTS) -> Run:
    """So many calls at once for a while, and then as many as may be."""
    return simulate(
        Provider(SLOTS, SLOTS, 0.35, 0.016),
        ConcurrencyLimit(most, 0.0),
        quiet + after,
        seed=seed,
        tokens=LENGTHS,
        demand=lambda now: few if now < quiet else 10_000,
        worker=Worker(0.7),
    )


@pytest.mark.parametrize(("quiet", "few"), [(30.0, 6), (60.0, 6), (60.0, 20)])
def test_a_quiet_time_does_not_lower_what_a_burst_then_meets(quiet: float, few: int) -> None:
    for seed in SEEDS:
        run = bursts(quiet, few, seed, after=1)
        assert min(run.limits_between(0, quiet + 1)) >= START, seed


@pytest.mark.parametrize("most", [SLOTS, 256])
def test_the_first_burst_gets_the_places_that_there_are(most: int) -> None:
    near = []
    for seed in SEEDS:
        run = bursts(30, 6, seed, after=60, most=most)
        near.append(statistics.fmean(run.limits_between(50, 90)) / SLOTS)
        assert run.refused_share(30) <= 0.02
    assert min(near) >= 0.65, near
    assert 0.8 <= statistics.median(near) <= 1.2, near


@pytest.mark.parametrize("most", [SLOTS, 256])
def test_always_full_it_does_not_wander_off_by_chance(most: int) -> None:
    """A window whose calls are slower or quicker by chance must not move what calls should take."""
    for seed in range(4):
        run = bursts(0, 1, seed, after=400, most=most)
        assert statistics.fmean(run.limits_between(40, 400)) >= 0.9 * SLOTS, seed


@pytest.mark.parametrize(("seconds", "within"), [(0.6, 40), (1.5, 60), (3.0, 80)])
def test_a_long_fall_is_made_up_for_when_calls_take_their_usual_time_again(
    seconds: float, within: float
) -> None:
    """A minute with an eighth of the places, and then all of them again."""
    took = []
    for seed in range(4):
        provider = provider_of(seconds, 64, 10_000)
        begins, ends = 20 + 14 * seconds, 80 + 14 * seconds
        changes = [(begins, partial(setattr, provider, "slots", 8))]
        changes += [(ends, partial(setattr, provider, "slots", 64))]
        limit = ConcurrencyLimit(256, 0.0)
        run = simulate(provider, limit, ends + 150, seed=seed, changes=changes)
        assert statistics.fmean(run.limits_between(ends - 20, ends)) <= 1.5 * 8
        took.append(next(at - ends for at, limit in run.limits if at > ends and limit >= 51))
    assert statistics.median(took) <= within, took
