"""Quotas: no minute has more than the limit, and when there is work nearly all of it is used."""

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.lanes import Lane
from broker.core.quotas import NOTHING, Left, PerMinute, Quotas

STEP_S = 0.05
MODEL = "chat-small"


@dataclass
class Seen:
    """What the provider saw: (when, requests, tokens) of each call."""

    calls: list[tuple[float, float]] = field(default_factory=list)

    def most_in_a_minute(self) -> tuple[int, float]:
        """The most requests, and the most tokens, of all minutes."""
        requests, tokens, first, most, total = 0, 0.0, 0, 0.0, 0.0
        for place, (at, used) in enumerate(self.calls):
            total += used
            while self.calls[first][0] <= at - 60:
                total -= self.calls[first][1]
                first += 1
            requests, most = max(requests, place - first + 1), max(most, total)
            tokens = max(tokens, total)
        return requests, tokens

    def between(self, begins: float, ends: float) -> tuple[int, float]:
        used = [tokens for at, tokens in self.calls if begins <= at < ends]
        return len(used), sum(used)


def run_pool(
    workers: dict[int, Quotas],
    seen: Seen,
    *,
    begins: float,
    ends: float,
    drawn: random.Random,
    sizes: Sequence[tuple[Lane, int]],
    settled: float = 1.0,
) -> None:
    """Each worker always has a next prompt of each lane; what starts is seen a moment later.

    `settled` is what a call really uses of its estimate; the provider sees that.
    """
    heads: dict[tuple[int, Lane], int] = {}
    by_lane: defaultdict[Lane, list[int]] = defaultdict(list)
    for lane, size in sizes:
        by_lane[lane].append(size)
    now = begins
    while now < ends:
        for number, quotas in workers.items():
            lanes = list(by_lane)
            drawn.shuffle(lanes)
            for lane in lanes:
                size = heads.setdefault((number, lane), drawn.choice(by_lane[lane]))
                while quotas.wait(MODEL, lane, size, now) <= 0:
                    taken = quotas.take(MODEL, lane, size, now)
                    quotas.settle(taken, size * settled, now)
                    seen.calls.append((now, size * settled))
                    size = heads[number, lane] = drawn.choice(by_lane[lane])
        now += STEP_S


def pool(count: int, limits: PerMinute, now: float) -> dict[int, Quotas]:
    return {number: Quotas(limits, {MODEL: NOTHING}, 1 / count, now) for number in range(count)}


LIGHT: list[tuple[Lane, int]] = [("light", 150), ("light", 400)]
BOTH: list[tuple[Lane, int]] = [("light", 300), ("heavy", 8_000)]
MIXED: list[tuple[Lane, int]] = [*LIGHT, ("medium", 1_500), ("heavy", 4_000)]


class TestALimitIsHeldAndUsed:
    @pytest.mark.parametrize("workers", [1, 2, 4])
    @pytest.mark.parametrize(
        ("limits", "sizes"),
        [
            (PerMinute(600, None), LIGHT),
            (PerMinute(60, None), LIGHT),
            (PerMinute(None, 200_000), MIXED),
            (PerMinute(3_000, 400_000), MIXED),
        ],
    )
    def test_by_so_many_workers(
        self, workers: int, limits: PerMinute, sizes: list[tuple[Lane, int]]
    ) -> None:
        seen = Seen()
        run_pool(
            pool(workers, limits, 1_000.0),
            seen,
            begins=1_000.0,
            ends=1_240.0,
            drawn=random.Random(workers),
            sizes=sizes,
        )
        requests, tokens = seen.most_in_a_minute()
        used = []
        if limits.requests is not None:
            assert requests <= 1.02 * limits.requests
            used.append(seen.between(1_060, 1_240)[0] / (3 * limits.requests))
        if limits.tokens is not None:
            assert tokens <= 1.02 * limits.tokens
            used.append(seen.between(1_060, 1_240)[1] / (3 * limits.tokens))
        assert max(used) >= 0.9

    @given(st.integers(0, 10**6))
    def test_through_any_history_of_rebalances_and_restarts(self, seed: int) -> None:
        drawn = random.Random(seed)
        limits = PerMinute(drawn.choice((120, 600, 2_000)), drawn.choice((None, 300_000)))
        seen, now, workers = Seen(), 1_000.0, pool(1, limits, 1_000.0)
        for _ in range(drawn.randint(3, 7)):
            until = now + drawn.uniform(2, 45)
            run_pool(workers, seen, begins=now, ends=until, drawn=drawn, sizes=MIXED)
            now = until
            count = drawn.choice((1, 2, 4))
            # Some are new ones that know nothing of what was used, some stay; the share moves.
            stay = {n: q for n, q in workers.items() if n < count and drawn.random() < 0.6}
            for quotas in stay.values():
                quotas.change_share(1 / count, now)
            born = pool(count, limits, now)
            workers = {number: stay.get(number, born[number]) for number in range(count)}
        requests, tokens = seen.most_in_a_minute()
        assert limits.requests is not None
        assert requests <= 1.02 * limits.requests + 1
        if limits.tokens is not None:
            assert tokens <= 1.02 * limits.tokens


class TestLightPromptsDoNotQueueBehindHeavyOnes:
    def test_they_go_on_while_heavy_ones_take_all_that_is_left(self) -> None:
        """A fifth of the rate comes as light prompts, at random times; heavy ones wait always."""
        drawn, limit = random.Random(1), PerMinute(None, 240_000)
        quotas, now, next_at = Quotas(limit, {}, 1.0, 0.0), 0.0, 5.0
        waiting: list[float] = []
        waits: list[float] = []
        heavy = 0
        while now < 180:
            if now >= next_at:
                waiting.append(next_at)
                next_at += drawn.expovariate(0.2 * 4_000 / 300)
            while quotas.wait(MODEL, "heavy", 8_000, now) <= 0:
                quotas.take(MODEL, "heavy", 8_000, now)
                heavy += 1
            while waiting and quotas.wait(MODEL, "light", 300, now) <= 0:
                quotas.take(MODEL, "light", 300, now)
                waits.append(now - waiting.pop(0))
            now += 0.02
        waits.sort()
        assert waits[int(0.95 * len(waits))] < 0.1
        assert heavy * 8_000 >= 0.7 * 3 * 240_000

    @pytest.mark.parametrize("window_full", [False, True])
    def test_and_leave_half_to_heavy_ones_however_many_there_are(
        self, *, window_full: bool
    ) -> None:
        quotas, now = Quotas(PerMinute(None, 60_000), {}, 1.0, 0.0), 0.0
        used: defaultdict[Lane, float] = defaultdict(float)
        if window_full:  # the last minute has all that it may have
            taken = quotas.take(MODEL, "light", 60_000, now)
            quotas.settle(taken, 60_000, now)
            now = 40.0
        while now < 300:
            for lane, size in BOTH:
                while quotas.wait(MODEL, lane, size, now) <= 0:
                    quotas.take(MODEL, lane, size, now)
                    used[lane] += size
            now += 0.05
        assert used["heavy"] >= 0.35 * (used["light"] + used["heavy"])

    def test_one_larger_than_a_minute_starts_at_last(self) -> None:
        quotas, now = Quotas(PerMinute(None, 6_000), {}, 0.5, 0.0), 0.0
        light = 0
        while now < 90 or quotas.wait(MODEL, "heavy", 20_000, now) > 0:
            while quotas.wait(MODEL, "light", 50, now) <= 0:
                quotas.take(MODEL, "light", 50, now)
                light += now >= 90
            now += 0.1
            assert now < 200
        assert light > 5


class TestWhatTheProviderSays:
    def test_no_call_of_a_model_before_its_time_and_others_go_on(self) -> None:
        quotas = Quotas(NOTHING, {}, 1.0, 0.0)
        quotas.refuse_until(10.0, 3.0, "a")
        assert quotas.wait("a", "light", 1, 4.0) == 6.0
        assert quotas.wait("b", "light", 1, 4.0) == 0.0
        quotas.refuse_until(5.0, 4.0, "a")
        assert quotas.wait("a", "light", 1, 6.0) == 4.0
        quotas.refuse_until(20.0, 6.0)
        assert quotas.wait("b", "light", 1, 6.0) == 14.0
        assert quotas.wait("a", "light", 1, 20.0) == 0.0

    def test_nothing_left_there_is_nothing_left_here(self) -> None:
        quotas = Quotas(PerMinute(600, None), {}, 0.5, 0.0)
        assert quotas.wait(MODEL, "light", 1, 30.0) == 0.0
        quotas.seen(MODEL, Left(600, 0), Left(None, None), 30.0)
        assert quotas.wait(MODEL, "light", 1, 30.0) > 0.1
        assert quotas.wait(MODEL, "light", 1, 31.0) == 0.0

    def test_a_limit_that_no_setting_names_is_kept_once_it_is_known(self) -> None:
        quotas, now, started = Quotas(NOTHING, {}, 0.5, 0.0), 0.0, 0
        quotas.seen(MODEL, Left(120, 119), Left(None, None), now)
        while now < 60:
            while quotas.wait(MODEL, "light", 1, now) <= 0:
                quotas.take(MODEL, "light", 1, now)
                started += 1
            now += 0.1
        assert 54 <= started <= 60
        assert quotas.rates().requests == pytest.approx(0.99)

    def test_a_lower_limit_than_the_settings_say_is_believed_and_a_higher_one_is_not(self) -> None:
        own = PerMinute(600, None)
        quotas = Quotas(NOTHING, {MODEL: own}, 1.0, 0.0)
        quotas.seen(MODEL, Left(300, 300), Left(None, None), 1.0)
        assert quotas.rates().requests == pytest.approx(0.99 * 5)
        quotas.seen(MODEL, Left(9_000, 300), Left(None, None), 2.0)
        assert quotas.rates().requests == pytest.approx(0.99 * 10)


class TestSettling:
    def test_an_estimate_that_was_too_high_is_given_back(self) -> None:
        seen = Seen()
        workers = pool(2, PerMinute(None, 100_000), 0.0)
        run_pool(
            workers, seen, begins=0, ends=150, drawn=random.Random(1), sizes=LIGHT, settled=0.4
        )
        assert seen.between(60, 120)[1] >= 0.9 * 100_000
        assert seen.most_in_a_minute()[1] <= 1.02 * 100_000

    def test_an_estimate_that_was_too_low_is_made_up_for(self) -> None:
        seen = Seen()
        workers = pool(2, PerMinute(None, 100_000), 0.0)
        run_pool(
            workers, seen, begins=0, ends=150, drawn=random.Random(1), sizes=LIGHT, settled=1.8
        )
        assert seen.between(60, 120)[1] >= 0.9 * 100_000
        assert seen.most_in_a_minute()[1] <= 1.02 * 100_000

    def test_a_call_that_was_never_made_costs_nothing(self) -> None:
        quotas = Quotas(PerMinute(60, 1_000), {}, 1.0, 0.0)
        before = quotas.left(10.0)
        quotas.give_back(quotas.take(MODEL, "light", 300, 10.0), 10.0)
        assert quotas.left(10.0) == before
        assert before == PerMinute(60, 1_000)
