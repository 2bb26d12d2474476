"""How fast one classifier, or one worker, gets through what waits for it."""

import asyncio
import secrets
from typing import Final

from broker.bench.arrivals import Arrivals, Watch
from broker.bench.deployment import CLASSIFIER, PROVIDER, WORKER, Deployment, made_deployment
from broker.bench.figures import rate_between
from broker.bench.open_loop import open_loop
from broker.bench.pace import Pace
from broker.bench.prompts import in_turn, light_bodies
from broker.bench.site import Site
from broker.bench.waiting import until
from broker.log.topic_names import TopicNames

_DEADLINE_S: Final = 180.0
WORKER_SLOTS: Final = 256
"""Calls at once of the worker whose backlog rate is measured."""


async def classifier_rate(site: Site, pace: Pace, run: int) -> float:
    """Prompts a second of one classifier, from its first committed work record to its last."""
    deployment = await made_deployment(site, f"classified{run}")
    count = pace.classifier_backlog
    with await open_loop(deployment.settings) as loop, await _work_arrivals(deployment) as arrivals:
        watch = _watch(count)
        arrivals.watch(watch)
        await loop.fill(in_turn(light_bodies(), count), run=watch.run)
        async with deployment.running(CLASSIFIER):
            await _all_there(watch, arrivals)
    rate = rate_between(watch.at)
    site.say(f"  run {run}: {rate:,.0f}/s from a backlog of {count:,}")
    return rate


async def worker_rate(site: Site, pace: Pace, run: int) -> float:
    """Prompts a second of one worker, from its first committed completion to its last.

    With the default of 64 slots it waits for its calls and their journal, not for the processor.
    """
    slots = {"max_in_flight": WORKER_SLOTS}
    deployment = await made_deployment(site, f"worked{run}", provider=slots)
    count = pace.worker_backlog
    with await open_loop(deployment.settings) as loop:
        watch = _watch(count)
        loop.watch(watch)
        with await _work_arrivals(deployment) as arrivals:
            classified = Watch(watch.run, count)
            arrivals.watch(classified)
            await loop.fill(in_turn(light_bodies(), count), run=watch.run)
            async with deployment.running(CLASSIFIER):
                await _all_there(classified, arrivals)
        async with deployment.running(WORKER):
            await loop.answered(watch, deadline_s=_DEADLINE_S)
    rate = rate_between(watch.at)
    site.say(f"  run {run}: {rate:,.0f}/s from a backlog of {count:,}")
    return rate


def _watch(count: int) -> Watch:
    return Watch(f"b{secrets.token_hex(4)}", count)


async def _work_arrivals(deployment: Deployment) -> Arrivals:
    settings = deployment.settings
    work = TopicNames(settings.kafka.prefix).work(PROVIDER)
    return await asyncio.to_thread(Arrivals, settings, work)


async def _all_there(watch: Watch, arrivals: Arrivals) -> None:
    def there() -> bool:
        arrivals.check()
        return watch.missing == 0

    await until(there, _DEADLINE_S, lambda: f"{watch.missing:,} prompts are not classified")
