"""The same hazards for calls of 0.2 s to 8 s: what is known before a call ends, and what is not.

`docs/limits.md` has the table that `table` makes.
"""

import random
import statistics
from collections.abc import Callable
from functools import partial

import pytest

from broker.core.call_ages import CallAges, Waiting
from broker.core.concurrency import ConcurrencyLimit
from tests.core.provider_model import Provider, Run, Worker, provider_of, simulate

SEEDS = range(2)
QUEUE = 10_000
SLOTS, FEWER = 64, 16
GIVEN_WAY = 1.6 * FEWER


def change(provider: Provider, slots: int) -> Callable[[], None]:
    return partial(setattr, provider, "slots", slots)


def falls(
    seconds: float, queue: int, seed: int, guess: float | None = 0.4, *, after: float = 15.0
) -> tuple[Run, float]:
    """A provider that falls to a quarter once calls have been known for a while."""
    provider = provider_of(seconds, SLOTS, queue)
    at = 20 + 14 * seconds
    changes = [(at, change(provider, FEWER))]
    limit = ConcurrencyLimit(256, 0.0)
    worker = Worker(guess)
    return simulate(provider, limit, at + after, seed=seed, changes=changes, worker=worker), at


def gave_way(run: Run, at: float) -> float:
    return next((when - at for when, limit in run.limits if when > at and limit <= GIVEN_WAY), 99.0)


@pytest.mark.parametrize("guess", [0.4, None])
@pytest.mark.parametrize("queue", [0, QUEUE])
@pytest.mark.parametrize("seconds", [0.2, 0.6, 1.5, 3.0, 4.0])
def test_it_gives_way_within_5_s_however_long_calls_take(
    seconds: float, queue: int, guess: float | None
) -> None:
    times = [gave_way(*falls(seconds, queue, seed, guess)) for seed in SEEDS]
    assert statistics.median(times) <= 5, times
    assert max(times) <= 8, times


@pytest.mark.parametrize(("seconds", "within"), [(6.0, 7.0), (8.0, 10.0)])
def test_calls_longer_than_5_s_are_seen_to_wait_before_one_of_them_has_ended(
    seconds: float, within: float
) -> None:
    """Until the quicker ones that began after the fall should have ended, none can tell."""
    times = [gave_way(*falls(seconds, QUEUE, seed)) for seed in SEEDS]
    assert statistics.median(times) <= within, times


@pytest.mark.parametrize("seconds", [0.6, 1.5, 3.0])
def test_after_a_fall_it_finds_what_is_left(seconds: float) -> None:
    found = []
    for seed in SEEDS:
        run, at = falls(seconds, QUEUE, seed, after=60)
        found.append(statistics.fmean(run.limits_between(at + 30, at + 60)) / FEWER)
    assert 0.7 <= statistics.median(found) <= 1.3, found


def alarms(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When ages were said to be those of calls that wait."""
    told: list[float] = []
    look = CallAges.look

    def looked(ages: CallAges, now: float) -> Waiting | None:
        waiting = look(ages, now)
        if waiting is not None:
            told.append(now)
        return waiting

    monkeypatch.setattr(CallAges, "look", looked)
    return told


@pytest.mark.parametrize(
    ("more", "guess"),
    [
        ({}, 0.4),
        ({}, None),
        ({"spread": 0.6}, 0.4),
        ({"hanging": 0.02}, 0.4),
        ({"first_s": 0.0}, None),
    ],
    ids=["as usual", "lengths unknown", "far apart", "some hang", "all of it by the token"],
)
@pytest.mark.parametrize("seconds", [0.6, 3.0])
def test_ages_say_nothing_while_nothing_waits(
    seconds: float, more: dict[str, float], guess: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = alarms(monkeypatch)
    for seed in SEEDS:
        provider = provider_of(seconds, 10_000, 0)
        for name, value in more.items():
            setattr(provider, name, value)
        limit = ConcurrencyLimit(64, 0.0)
        simulate(provider, limit, 120, seed=seed, worker=Worker(guess))
    assert told == []


@pytest.mark.parametrize("seconds", [1.5, 3.0])
@pytest.mark.parametrize("stalls", ["one of ten seconds", "half of the time"])
def test_a_worker_that_does_not_run_learns_nothing_from_ages(
    seconds: float, stalls: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = alarms(monkeypatch)
    for seed in SEEDS:
        starved = [(60.0, 70.0)] if stalls.startswith("one") else _often(seed)
        simulate(
            provider_of(seconds, 10_000, 0),
            ConcurrencyLimit(96, 0.0),
            120,
            seed=seed,
            worker=Worker(0.4, starved),
        )
    assert told == []


def _often(seed: int) -> list[tuple[float, float]]:
    drawn, now, stalls = random.Random(seed), 5.0, []
    while now < 120:
        begins = now + drawn.expovariate(1)
        now = begins + drawn.uniform(0.2, 2.0)
        stalls.append((begins, now))
    return stalls


def test_a_few_calls_that_hang_together_are_no_fall() -> None:
    ages, now = known_ages()
    for _ in range(5):
        ages.sent(1.0, 32, now)
    for step in range(600):
        assert ages.look(now + 0.1 * step) is None


def test_many_calls_that_do_not_end_are_one() -> None:
    ages, now = known_ages()
    for _ in range(20):
        ages.sent(1.0, 32, now)
    told = next(step for step in range(600) if ages.look(now + 0.1 * step) is not None)
    assert 0.8 <= 0.1 * told <= 1.8


def known_ages() -> tuple[CallAges, float]:
    """Calls of one second each were seen for a while, and none is under way."""
    ages, now, drawn = CallAges(), 0.0, random.Random(1)
    for _ in range(200):
        now += 0.05
        call = ages.sent(1.0, 32, now)
        assert call is not None
        now += drawn.lognormvariate(0, 0.2)
        ages.ended(call, now, learn=True)
    return ages, now + 1.0


def test_answers_that_are_longer_than_was_thought_do_not_keep_the_limit_low() -> None:
    """Nobody guessed it: ages say that calls wait, their ends say that they did not."""
    lengths = [40, 50]
    limit = ConcurrencyLimit(48, 0.0)

    def longer() -> None:
        lengths[:] = [500, 600]

    worker = Worker(None)
    run = simulate(
        provider_of(1.0, 64, 64), limit, 120, tokens=lengths, changes=[(60, longer)], worker=worker
    )
    assert statistics.fmean(run.limits_between(90, 120)) >= 0.85 * 48


def test_a_provider_that_becomes_slower_is_asked_as_much_as_before() -> None:
    after = []
    for seed in SEEDS:
        provider = provider_of(3.0, SLOTS, QUEUE)
        changes = [(60.0, partial(setattr, provider, "speed", 0.5))]
        run = simulate(provider, ConcurrencyLimit(256, 0.0), 160, seed=seed, changes=changes)
        after.append(statistics.fmean(run.limits_between(110, 160)) / SLOTS)
    assert 0.75 <= statistics.median(after) <= 1.25, after


@pytest.mark.parametrize("seconds", [0.2, 0.6, 1.5, 3.0])
@pytest.mark.parametrize("queue", [0, QUEUE])
def test_it_finds_the_capacity_within_30_s_without_many_refusals(
    seconds: float, queue: int
) -> None:
    near, refused = [], []
    for seed in SEEDS:
        provider = provider_of(seconds, SLOTS, queue)
        run = simulate(provider, ConcurrencyLimit(256, 0.0), 60, seed=seed)
        near.append(statistics.fmean(run.limits_between(30, 60)) / SLOTS)
        refused.append(run.refused_share(30))
    assert 0.8 <= statistics.median(near) <= 1.2, near
    assert max(refused) <= 0.02, refused
