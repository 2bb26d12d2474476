"""What an outage of the preferred provider costs light prompts, and how soon it is used again."""

import asyncio
import time
from typing import Any, Final

from broker.bench.deployment import (
    CLASSIFIER,
    SIMULATOR,
    Deployment,
    bounded_cloud,
    made_deployment,
    worker_name,
)
from broker.bench.failing import MeasurementFailedError
from broker.bench.figures import quantile
from broker.bench.open_loop import Offered, OpenLoop, open_loop, steady
from broker.bench.pace import Pace
from broker.bench.prompts import light_bodies
from broker.bench.site import Site
from broker.bench.waiting import until
from workers.simulator.remote import RemoteSimulator

PROVIDERS: Final = ("first", "second", "third")
SLOTS: Final = 12
SERVICE_S: Final = 0.2
TOKENS: Final = 50
ROOM: Final = SLOTS / SERVICE_S
"""Light prompts a second that one provider can answer."""
LOAD: Final = 0.6
"""Of the room of those that are left."""
BACK_S: Final = 15.0
"""So soon after its return the provider must have prompts again."""
WAIT_S: Final = 0.25
"""A light prompt overflows above this expected wait."""
_SETTLED_S: Final = 6.0


async def failover_ratio(site: Site, pace: Pace, run: int) -> float:
    """Light prompts' p95 while one of three providers is down, divided by the usual one."""
    deployment = await _deployment(site, run)
    rate = LOAD * ROOM * (len(PROVIDERS) - 1)
    bodies = light_bodies(TOKENS)
    workers = [worker_name(provider) for provider in PROVIDERS]
    async with deployment.running(SIMULATOR, CLASSIFIER, *workers):
        with await open_loop(deployment.settings) as loop:
            await loop.offer(steady(rate, _SETTLED_S, bodies))
            usual = await loop.offer(steady(rate, pace.usual_s, bodies))
            offered, back_s = await _outage(loop, deployment, rate, pace)
    down = [
        n for n, due in enumerate(offered.watch.due) if due - offered.watch.due[0] < pace.down_s
    ]
    before = quantile(usual.latencies_ms(), 0.95)
    during = quantile(offered.latencies_ms(down), 0.95)
    site.say(
        f"  run {run}: light p95 {before:.0f} ms, {during:.0f} ms with one of three down for "
        f"{pace.down_s:.0f} s at {rate:.0f}/s; used again {back_s:.1f} s after its return"
    )
    if back_s > BACK_S:
        raise MeasurementFailedError(
            f"The provider had no prompt {back_s:.0f} s after its return, {BACK_S:.0f} allowed."
        )
    return during / before


async def _outage(
    loop: OpenLoop, deployment: Deployment, rate: float, pace: Pace
) -> tuple[Offered, float]:
    """A load during which the first provider is down; every prompt of it has to be answered."""
    simulator = RemoteSimulator(f"http://127.0.0.1:{deployment.simulator_port}")
    load = steady(rate, pace.down_s + BACK_S, light_bodies(TOKENS))
    faults = {"outages": [{"from_s": 0.0, "to_s": pace.down_s}]}
    await asyncio.to_thread(simulator.set_faults, PROVIDERS[0], faults)
    ends = time.monotonic() + pace.down_s
    offering = asyncio.create_task(loop.offer(load))
    try:
        await asyncio.sleep(max(0.0, ends - time.monotonic()))
        answered = await _answered(simulator)

        async def used_again() -> bool:
            return offering.done() or await _answered(simulator) > answered

        await until(used_again, 2 * BACK_S, lambda: "the provider that is back had no prompt")
        back_s = time.monotonic() - ends
        return await offering, back_s
    finally:
        offering.cancel()
        await asyncio.gather(offering, return_exceptions=True)


async def _answered(simulator: RemoteSimulator) -> int:
    counts = await asyncio.to_thread(simulator.served, PROVIDERS[0])
    return int(counts[PROVIDERS[0]]["answered"])


async def _deployment(site: Site, run: int) -> Deployment:
    cloud = bounded_cloud(SLOTS, SERVICE_S / 2, SERVICE_S / 2 / (TOKENS - 1))
    provider: dict[str, Any] = {"models": {"bench-chat": "stand-in"}, "max_in_flight": SLOTS}
    return await made_deployment(
        site,
        f"failover{run}",
        simulator={"clouds": dict.fromkeys(PROVIDERS, cloud)},
        more={
            "providers": dict.fromkeys(PROVIDERS, provider),
            "routing": {"light_wait_s": WAIT_S, "medium_wait_s": WAIT_S, "heavy_wait_s": WAIT_S},
        },
    )
