"""The same hazards for calls of 0.2 s to 8 s: what is known before a call ends, and what is not.

`docs/limits.md` has the table that `table` makes.
"""

import statistics
from collections.abc import Callable
from functools import partial

import pytest

from broker.core.concurrency import ConcurrencyLimit
from tests.core.provider_model import Provider, Run, Worker, provider_of, simulate

SEEDS = range(3)
QUEUE = 10_000
SLOTS, FEWER = 64, 16
GIVEN_WAY = 1.6 * FEWER


def change(provider: Provider, slots: int) -> Callable[[], None]:
    return partial(setattr, provider, "slots", slots)


def falls(seconds: float, queue: int, seed: int, guess: float | None = 0.4) -> tuple[Run, float]:
    """A provider that falls to a quarter once calls have been known for a while."""
    provider = provider_of(seconds, SLOTS, queue)
    at = 60.0 if seconds < 4 else 120.0
    changes = [(at, change(provider, FEWER))]
    limit = ConcurrencyLimit(256, 0.0)
    worker = Worker(guess)
    return simulate(provider, limit, at + 60, seed=seed, changes=changes, worker=worker), at


def gave_way(run: Run, at: float) -> float:
    return next((when - at for when, limit in run.limits if when > at and limit <= GIVEN_WAY), 60.0)


@pytest.mark.parametrize("guess", [0.4, None])
@pytest.mark.parametrize("queue", [0, QUEUE])
@pytest.mark.parametrize("seconds", [0.2, 0.6, 1.5, 3.0, 4.0])
def test_it_gives_way_within_5_s_however_long_calls_take(
    seconds: float, queue: int, guess: float | None
) -> None:
    times = [gave_way(*falls(seconds, queue, seed, guess)) for seed in SEEDS]
    assert statistics.median(times) <= 5, times
    assert max(times) <= 8, times
