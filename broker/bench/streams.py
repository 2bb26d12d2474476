"""Streamed answers: how much later than from the provider their first piece is read."""

import asyncio
from typing import Any, Final

from broker.bench.arrivals import Arrivals, Watch
from broker.bench.deployment import CLASSIFIER, WORKER, made_deployment
from broker.bench.figures import quantile
from broker.bench.open_loop import open_loop, steady
from broker.bench.pace import Pace
from broker.bench.prompts import light_bodies
from broker.bench.site import Site
from broker.bench.stream_cpu import stream_cpu
from broker.bench.waiting import until
from broker.log.topic_names import TopicNames

RATE: Final = 50.0
_WARM_S: Final = 2.0
_DEADLINE_S: Final = 20.0


class FirstPieces(Watch):
    """When the first piece of each answer came; what else is in the topic is passed over."""

    def note(self, number: int, message: Any, now: float) -> None:
        """Take note of one record of the chunks."""
        if self.at[number] or ("event", b"piece") not in message.headers():
            return
        self.at[number] = now
        self.came += 1


async def first_token_added(site: Site, pace: Pace, run: int) -> float:
    """Milliseconds, the median: from when a prompt was due to its first piece read from Kafka.

    The provider sends its first token as soon as it has read the call; the part of a millisecond
    that it takes is in the figure.
    """
    provider = {"base_url": site.stand_in.streamed_url}
    deployment = await made_deployment(site, f"streamed{run}", provider=provider)
    settings = deployment.settings
    chunks = TopicNames(settings.kafka.prefix).chunks
    bodies = light_bodies(stream=True)
    with (
        await open_loop(settings) as loop,
        await asyncio.to_thread(Arrivals, settings, chunks) as arrivals,
    ):
        async with deployment.running(CLASSIFIER, WORKER):
            await loop.offer(steady(RATE, _WARM_S, bodies))
            load = steady(RATE, pace.steady_s, bodies)
            watch = loop.begin(load)
            first = FirstPieces(watch.run, watch.count, watch.due)
            arrivals.watch(first)
            offered = await loop.offer(load, watch=watch)

            def all_there() -> bool:
                arrivals.check()
                return first.missing == 0

            await until(all_there, _DEADLINE_S, lambda: f"{first.missing:,} have no first piece")
    added = sorted((at - due) * 1000 for at, due in zip(first.at, first.due, strict=True))
    told = ", ".join(f"{name} {quantile(added, share):.1f}" for name, share in _SHARES)
    site.say(f"  run {run}: first piece after ms {told}; whole answers: {offered.sentence()}")
    return quantile(added, 0.5)


async def stream_cpu_per_chunk(site: Site, pace: Pace, run: int) -> float:
    """Microseconds of a worker's CPU for each chunk that a provider sends."""
    deployment = await made_deployment(site, f"fed{run}")
    used = await stream_cpu(deployment, pace.steady_s / 3)
    site.say(f"  run {run}: {used:.1f} us for each chunk")
    return used


_SHARES: Final = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
