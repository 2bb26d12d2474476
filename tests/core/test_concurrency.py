"""The limit on calls at once finds what a provider can take, follows it, and keeps still.

Time is simulated: a provider with places, a queue and lognormal times (`provider_model`).
"""

import statistics

import pytest

from broker.core.concurrency import LEAST, START, ConcurrencyLimit
from tests.core.provider_model import MODEL, Provider, simulate

SEEDS = range(4)
QUICK = {"first_s": 0.25, "per_token_s": 0.003}
"""Calls of about 0.6 s: nothing can be known of a fall before calls end."""


def settled(limits: list[int]) -> float:
    return statistics.fmean(limits)


@pytest.mark.parametrize("queue", ["none", "as many as places", "endless"])
@pytest.mark.parametrize("slots", [20, 60, 100, 200])
def test_it_finds_the_capacity_within_30_s_and_stays_there(slots: int, queue: str) -> None:
    waiting = {"none": 0, "as many as places": slots, "endless": 10_000}[queue]
    near, shares = [], []
    for seed in SEEDS:
        run = simulate(Provider(slots, waiting), ConcurrencyLimit(512, 0.0), 90, seed=seed)
        limits = run.limits_between(30, 90)
        near.append(abs(settled(limits) / slots - 1))
        shares.append(run.refused_share(30))
        # It does not oscillate: it is far off only while it checks what a call takes.
        off = sum(not 0.65 * slots <= limit <= 1.35 * slots for limit in limits)
        assert off <= 0.25 * len(limits)
    assert statistics.median(near) <= 0.2
    assert max(near) <= 0.35
    assert max(shares) <= 0.02


@pytest.mark.parametrize("most", [1, 2, 10, 32])
def test_it_is_never_above_what_the_settings_allow(most: int) -> None:
    limit = ConcurrencyLimit(most, 0.0)
    assert limit.limit == most
    run = simulate(Provider(10_000, 0), limit, 40)
    assert max(run.limits_between(0, 40)) <= most
    assert max(run.limits_between(20, 40)) >= 0.9 * most


def test_it_starts_from_a_number_that_a_provider_may_be_expected_to_take() -> None:
    assert ConcurrencyLimit(10_000, 0.0).limit == START


@pytest.mark.parametrize("queue", [0, 64, 10_000])
def test_it_gives_way_within_5_s_when_capacity_falls(queue: int) -> None:
    times = []
    for seed in SEEDS:
        provider = Provider(64, queue, **QUICK)

        def fall(provider: Provider = provider) -> None:
            provider.slots = 16

        run = simulate(provider, ConcurrencyLimit(256, 0.0), 70, seed=seed, changes=[(40, fall)])
        times.append(next(at for at, limit in run.limits if at > 40 and limit <= 26) - 40)
        assert 0.6 <= settled(run.limits_between(55, 70)) / 16 <= 1.5
    assert statistics.median(times) <= 5


@pytest.mark.parametrize("queue", [0, 10_000])
def test_it_follows_when_capacity_rises(queue: int) -> None:
    grown = []
    for seed in SEEDS:
        provider = Provider(16, queue, **QUICK)

        def rise(provider: Provider = provider) -> None:
            provider.slots = 64

        run = simulate(provider, ConcurrencyLimit(256, 0.0), 110, seed=seed, changes=[(30, rise)])
        grown.append(settled(run.limits_between(80, 110)))
    assert statistics.median(grown) >= 0.75 * 64


def test_a_provider_that_becomes_slower_is_not_taken_for_one_that_takes_less() -> None:
    after = []
    for seed in SEEDS:
        provider = Provider(64, 10_000, **QUICK)

        def slow(provider: Provider = provider) -> None:
            provider.speed = 0.5

        run = simulate(provider, ConcurrencyLimit(256, 0.0), 100, seed=seed, changes=[(40, slow)])
        after.append(settled(run.limits_between(70, 100)) / 64)
    assert 0.8 <= statistics.median(after) <= 1.25


def test_long_answers_are_not_taken_for_waiting() -> None:
    """Answers become ten times as long; the calls take as much longer, and nothing waits."""
    lengths = [40, 50]
    limit = ConcurrencyLimit(48, 0.0)

    def longer() -> None:
        lengths[:] = [300, 500]

    run = simulate(Provider(64, 64, **QUICK), limit, 90, tokens=lengths, changes=[(30, longer)])
    assert settled(run.limits_between(60, 90)) >= 0.85 * 48


def test_a_quiet_time_changes_nothing() -> None:
    limit = ConcurrencyLimit(256, 0.0)
    run = simulate(Provider(60, 60, **QUICK), limit, 90, demand=lambda now: 200 if now < 40 else 5)
    before, after = run.limits_between(30, 40), run.limits_between(60, 90)
    assert 0.6 <= settled(after) / settled(before) <= 1.4


def test_an_outage_does_not_take_the_limit_away() -> None:
    """Every call is refused for seconds: calls that began before a cut do not cut again."""
    limit = ConcurrencyLimit(64, 0.0)
    begun = [limit.began(number + 1, 1.0) for number in range(32)]
    for one in begun:
        limit.refused(one, 1.1, counted=False)
    assert limit.limit >= 0.4 * 32


def test_calls_that_take_next_to_no_time_are_not_cut_for_it() -> None:
    """A hundred calls of some milliseconds wait for each other, and no person notices."""
    limit, now = ConcurrencyLimit(128, 0.0), 0.0
    for _ in range(4_000):
        begun = [limit.began(number + 1, now) for number in range(limit.limit)]
        took = 0.0005 * len(begun)
        now += took
        for one in begun:
            limit.answered(one, MODEL, 10, took, now)
    assert limit.limit == 128


def test_times_alone_leave_some_calls_and_refusals_may_leave_one() -> None:
    """On a machine that is busy all calls wait, and the fewer they are the more it looks so."""
    limit, now = ConcurrencyLimit(64, 0.0), 0.0
    for turn in range(400):
        begun = [limit.began(number + 1, now) for number in range(limit.limit)]
        took = 0.02 if turn % 3 else 5.0
        now += took
        for one in begun:
            limit.answered(one, MODEL, 10, took, now)
        assert limit.limit >= LEAST // 2  # with half of them it is compared
    for _ in range(40):
        now += 1.0
        limit.refused(limit.began(limit.limit, now), now)
    assert limit.limit == 1
