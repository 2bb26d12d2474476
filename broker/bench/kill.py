"""How long nothing is completed after a worker's kill -9, when its supervisor restarts it."""

import asyncio
import time
from typing import Final

from broker.bench.deployment import CLASSIFIER, WORKER, made_deployment
from broker.bench.failing import MeasurementFailedError
from broker.bench.open_loop import open_loop, steady
from broker.bench.pace import Pace
from broker.bench.prompts import light_bodies
from broker.bench.site import Site

RATE: Final = 200.0


async def kill_recovery(site: Site, pace: Pace, run: int) -> float:
    """Seconds from the kill to the new worker's first completion that can be read.

    A deployment of its own for each run: a supervisor starts a child that dies again within a
    minute not at once, and this is about a first death.
    """
    deployment = await made_deployment(site, f"killed{run}")
    load = steady(RATE, pace.kill_after_s + pace.kill_rest_s, light_bodies())
    async with deployment.running(CLASSIFIER, WORKER) as running:
        with await open_loop(deployment.settings) as loop:
            watch = loop.begin(load)
            offering = asyncio.create_task(loop.offer(load, watch=watch))
            try:
                await asyncio.sleep(watch.due[0] + pace.kill_after_s - time.monotonic())
                running.supervisor.kill(WORKER)
                killed = time.monotonic()
                # The dead write nothing: a record of a later millisecond is the new worker's.
                watch.mark_ms = int(time.time() * 1000) + 1
                offered = await offering
            finally:
                offering.cancel()
                await asyncio.gather(offering, return_exceptions=True)
    if watch.marked_at is None:
        raise MeasurementFailedError("No completion came after the kill.")
    seconds = watch.marked_at - killed
    site.say(f"  run {run}: {seconds:.2f} s; all of {watch.count:,} answered once")
    site.say(f"  run {run}: {offered.sentence()}")
    return seconds
