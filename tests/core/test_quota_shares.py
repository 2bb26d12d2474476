"""Workers that lend each other what they do not use of a limit: together never more than it is."""

import random
from collections import deque

import pytest

from broker.core.quota_shares import Claim, QuotaShare

TICK_S = 0.1


class Worker:
    """One worker: the part of the limit it would use, the part it may, and what it published."""

    def __init__(self, base: float) -> None:
        self.share = QuotaShare()
        self.share.base = base
        self.demand = 0.0
        self.part = 0.0
        self.used = 0.0
        self.published: deque[Claim] = deque(maxlen=60)

    def tick(self, now: float, others: list[Claim]) -> None:
        if self.demand > self.part:
            self.share.waits(now)
        self.used = 0.9 * self.used + 0.1 * min(self.demand, self.part)
        self.part = self.share.part(now, used=self.used, others=others)
        told = self.published[-1] if self.published else None
        changed = told is None or abs(told.claimed - self.share.claimed) > 0.05
        if changed or told is None or now - told.at >= 0.99:
            self.published.append(Claim(now, self.share.base, self.share.claimed))

    def read(self, before: float) -> list[Claim]:
        """The newest report that had arrived by then."""
        return [claim for claim in self.published if claim.at <= before][-1:]


def run(workers: list[Worker], begins: float, ends: float, delay_s: float = 0.5) -> list[float]:
    """The sum of what the workers use at each tick."""
    used, now = [], begins
    while now < ends:
        for worker in workers:
            others = [
                c for other in workers if other is not worker for c in other.read(now - delay_s)
            ]
            worker.tick(now, others)
        used.append(sum(min(worker.demand, worker.part) for worker in workers))
        now += TICK_S
    return used


def test_all_the_work_at_one_of_four_workers_uses_nearly_all_of_the_limit() -> None:
    workers = [Worker(0.25) for _ in range(4)]
    workers[0].demand = 5.0
    used = run(workers, 0.0, 30.0)
    assert min(used[100:]) >= 0.9
    assert max(used) <= 1.001


def test_who_gets_work_again_has_its_part_back_within_seconds() -> None:
    workers = [Worker(0.5), Worker(0.5)]
    workers[0].demand = 5.0
    run(workers, 0.0, 30.0)
    workers[1].demand = 5.0
    used = run(workers, 30.0, 40.0)
    assert workers[1].part == pytest.approx(0.5)
    assert max(used) <= 1.001


def test_one_that_died_is_taken_to_use_its_part() -> None:
    alive, dead = Worker(0.5), Worker(0.5)
    alive.demand = 5.0
    run([alive, dead], 0.0, 20.0)
    assert alive.part > 0.9
    now = 20.0
    while now < 26.0:
        alive.tick(now, dead.read(20.0))
        now += TICK_S
    assert alive.part == pytest.approx(0.5)


def test_who_is_alone_never_waits_for_a_grace() -> None:
    worker = Worker(1.0)
    run([worker], 0.0, 20.0)
    worker.demand = 3.0
    assert min(run([worker], 20.0, 21.0)) == 1.0


@pytest.mark.parametrize("seed", range(12))
def test_whatever_comes_where_the_limit_is_hardly_passed_for_hardly_any_time(seed: int) -> None:
    """Demand jumps, bases move at rebalances, reports take up to half a second."""
    drawn = random.Random(seed)
    workers = [Worker(0.25) for _ in range(4)]
    used: list[float] = []
    now = 0.0
    for _ in range(25):
        for worker in workers:
            worker.demand = drawn.choice((0.0, 0.05, 0.3, 3.0))
        if drawn.random() < 0.3:
            cuts = sorted(drawn.randint(0, 12) for _ in range(3))
            for worker, k in zip(
                workers, (cuts[0], cuts[1] - cuts[0], cuts[2] - cuts[1], 12 - cuts[2]), strict=True
            ):
                worker.share.base = k / 12
        until = now + drawn.uniform(1, 20)
        used += run(workers, now, until, delay_s=drawn.uniform(0.05, 0.5))
        now = until
    minute = round(60 / TICK_S)
    most = max(sum(used[at : at + minute]) / minute for at in range(max(1, len(used) - minute)))
    assert most <= 1.02
