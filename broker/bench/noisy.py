"""What a tenant that floods costs the others, through Kafka, classifier, worker and simulator."""

from collections.abc import Sequence
from typing import Final

import orjson

from broker.bench.deployment import (
    CLASSIFIER,
    PROVIDER,
    SIMULATOR,
    WORKER,
    Deployment,
    bounded_cloud,
    made_deployment,
)
from broker.bench.failing import MeasurementFailedError
from broker.bench.figures import quantile
from broker.bench.lanes import Mixed, mixed
from broker.bench.open_loop import Load, Offered, open_loop, steady
from broker.bench.pace import Pace
from broker.bench.prompts import light_bodies
from broker.bench.site import Site

QUIET: Final = 50
RATE: Final = 0.3
"""Prompts a second of each quiet tenant."""
TIMES: Final = 100
"""So many times that sends the noisy one."""
SLOTS: Final = 64
TOKENS: Final = 400
SERVICE_S: Final = 2.0
CAPACITY: Final = SLOTS / SERVICE_S
"""Prompts a second: 32. The quiet ones together send 15, the noisy one 30."""
HELD: Final = 500
"""Prompts that the worker may hold, 200 of them light: the flood is more than it can take in."""
BUSY_SHARE: Final = 0.9
_FIRST_S: Final = 0.1
_SETTLED_S: Final = 2.5


async def noisy_deployment(site: Site) -> Deployment:
    """The simulator with bounded slots, and a worker with as many."""
    # Were all calls as long as each other, their ends would come in bunches.
    cloud = bounded_cloud(SLOTS, _FIRST_S, per_token_s(), spread=0.1)
    return await made_deployment(
        site,
        "noisy",
        provider={"max_in_flight": SLOTS},
        simulator={"clouds": {PROVIDER: cloud}},
        more={"worker": {"max_waiting": HELD}},
    )


def per_token_s() -> float:
    """What makes an answer take `SERVICE_S`."""
    return (SERVICE_S - _FIRST_S) / (TOKENS - 1)


def of_tenants(names: Sequence[str]) -> list[bytes]:
    """The same prompts as always, by turns of these tenants."""
    bodies = light_bodies(TOKENS)
    count = len(bodies) * len(names)
    return [
        orjson.dumps({**orjson.loads(bodies[n % len(bodies)]), "tenant": names[n % len(names)]})
        for n in range(count)
    ]


def flooded(seconds: float) -> Mixed:
    """The quiet tenants, with the noisy one beside them."""
    noisy = steady(RATE * TIMES, seconds, of_tenants(["noisy"]))
    return mixed(quiet(seconds), noisy)


def quiet(seconds: float) -> Load:
    """The quiet tenants."""
    return steady(RATE * QUIET, seconds, of_tenants([f"quiet-{n}" for n in range(QUIET)]))


async def noisy_ratios(site: Site, pace: Pace, runs: int) -> list[float]:
    """The quiet tenants' p95 beside the noisy one, divided by theirs without it."""
    deployment = await noisy_deployment(site)
    ratios = []
    async with deployment.running(SIMULATOR, CLASSIFIER, WORKER):
        with await open_loop(deployment.settings) as loop:
            await loop.offer(quiet(_SETTLED_S))  # connections are made
            for run in range(1, runs + 1):
                alone = await loop.offer(quiet(pace.noisy_alone_s))
                both = flooded(pace.noisy_beside_s)
                beside = await loop.offer(both.load)
                busy = busy_share(beside)
                before = quantile(alone.latencies_ms(), 0.95)
                after = quantile(beside.latencies_ms(both.first), 0.95)
                own = quantile(beside.latencies_ms(both.second), 0.95)
                site.say(
                    f"  run {run}: p95 of {QUIET} quiet tenants {before:.0f} ms alone, "
                    f"{after:.0f} ms beside one with {TIMES} times the load of each (its own is "
                    f"{own:,.0f} ms); {busy:.0%} of the slots busy"
                )
                if busy < BUSY_SHARE:
                    raise MeasurementFailedError(
                        f"Only {busy:.0%} of the {SLOTS} slots were busy, so this was no flood."
                    )
                ratios.append(after / before)
    return ratios


def busy_share(offered: Offered) -> float:
    """The share of the slots' time that went into answers, from when the load has settled on.

    By the median of an answer's time: the mean is a little higher.
    """
    watch = offered.watch
    begins, ends = watch.due[0] + _SETTLED_S, watch.due[-1]
    ended = sum(begins < at <= ends for at in watch.at)
    return ended * SERVICE_S / (SLOTS * (ends - begins))
