"""What it costs a worker to choose what runs next, with few tenants and with very many.

`python -m broker.bench.dispatch DISPATCHES` fills the queues of two workers with as many jobs, one
of 10 tenants and one of 100,000, and then dispatches by turns at both: a job comes, one starts, is
asked of the quotas, and ends. It prints the CPU time of each, in microseconds.
"""

import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from typing import Final

from broker.bench.failing import MeasurementFailedError
from broker.bench.own_process import measured_apart
from broker.bench.pace import Pace
from broker.bench.prompts import bench_work
from broker.bench.site import Site
from broker.core.slots import SlotRules
from broker.settings.providers import ProviderSettings
from broker.supervisor.parent_death import follow_parent
from broker.telemetry.collecting import collect_less
from workers.dispatch import Dispatcher
from workers.job import Job, Place
from workers.quota_keeping import Allowance

FEW: Final = 10
MANY: Final = 100_000
WAITING: Final = 100_000
"""Jobs that wait at each of the two workers: at the second one of each tenant, to begin with."""
_SLOTS: Final = 64
_A_TURN: Final = 500
_STEP_S: Final = 0.001
_WEIGHTS: Final = (50, 2_000)


async def dispatch_costs(site: Site, pace: Pace, run: int) -> tuple[float, float]:
    """Microseconds of CPU for each dispatch among few tenants, and among many."""
    few, many = await measured_apart("dispatch", pace.dispatches, doing="Dispatching")
    site.say(f"  run {run}: {few:.1f} us among {FEW} tenants, {many:.1f} us among {MANY:,}")
    return few, many


def _worker(tenants: int) -> Callable[[int], float]:
    """A worker full of jobs; calling it with a number of dispatches says how long each took."""
    dispatcher = Dispatcher(SlotRules(_SLOTS))
    allowance = Allowance("bench", ProviderSettings(), dispatcher, 0.0)
    allowance.assigned(1, 1, 0.0)
    drawn = random.Random(1)  # noqa: S311 - the same each time
    coming = _jobs(drawn, lambda number: number % tenants)
    for _ in range(WAITING):
        job = next(coming)
        dispatcher.add(job, job.arrived_at)
    coming = _jobs(drawn, lambda _: drawn.randrange(tenants), WAITING)

    def dispatch(times: int) -> float:
        jobs = [next(coming) for _ in range(times)]
        begun = time.thread_time()
        for job in jobs:
            now = job.arrived_at
            dispatcher.add(job, now)
            started = dispatcher.next_job(allowance.at(now))
            if started is None:
                raise MeasurementFailedError("Nothing started though a slot was free.")
            allowance.take(started, now)
            dispatcher.ended(started)
            allowance.ended(started, now, called=True)
        return (time.thread_time() - begun) / times * 1e6

    return dispatch


def _jobs(drawn: random.Random, tenant_of: Callable[[int], int], first: int = 0) -> Iterator[Job]:
    usual = bench_work("dispatched")
    for number in count(first):
        given = replace(
            usual,
            id=f"p-{number}",
            tenant=f"tenant-{tenant_of(number)}",
            weight=drawn.randint(*_WEIGHTS),
            accepted_at=number * _STEP_S,
        )
        yield Job(Place("work", 0, number, 1), "light", 500, given, 0)


def _measured(dispatches: int) -> tuple[float, float]:
    few, many = _worker(FEW), _worker(MANY)
    collect_less()
    # By turns, so that whatever else runs on the machine slows both alike.
    pairs = [(few(_A_TURN), many(_A_TURN)) for _ in range(max(1, dispatches // _A_TURN))]
    return statistics.median(one for one, _ in pairs), statistics.median(two for _, two in pairs)


if __name__ == "__main__":
    follow_parent()
    sys.stdout.write(json.dumps(_measured(int(sys.argv[1]))))
