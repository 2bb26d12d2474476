"""What heavy prompts cost the light ones beside them, when there are more than can be served."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

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
from broker.bench.open_loop import Load, Offered, open_loop, steady
from broker.bench.pace import Pace
from broker.bench.prompts import light_bodies
from broker.bench.site import Site

SLOTS: Final = 32
FIRST_S: Final = 0.1
PER_TOKEN_S: Final = 0.000_5
LIGHT_TOKENS: Final = 100
HEAVY_TOKENS: Final = 2_000
LIGHT_RATE: Final = 40.0
OFFERED: Final = 1.2
"""Of what the slots can serve, by the heavy prompts alone."""
BUSY_SHARE: Final = 0.8
"""Slots used less than this were not overloaded, whatever was offered. A quarter is kept for light
prompts, and these use three quarters of it: 0.94 of all can be busy."""
_SETTLED_S: Final = 2.5


def service_s(tokens: int) -> float:
    """How long the simulator holds a slot for an answer of so many tokens."""
    return FIRST_S + PER_TOKEN_S * (tokens - 1)


def heavy_rate() -> float:
    """Heavy prompts a second that are 120% of capacity; the light ones come beside them."""
    return OFFERED * SLOTS / service_s(HEAVY_TOKENS)


@dataclass(frozen=True, slots=True)
class Mixed:
    """Two loads merged by when they are due, with the places of each one's prompts."""

    load: Load
    first: Sequence[int]
    second: Sequence[int]


def mixed(first: Load, second: Load) -> Mixed:
    """Both at once."""
    both = [(due, body, True) for due, body in zip(first.due_s, first.bodies, strict=True)]
    both += [(due, body, False) for due, body in zip(second.due_s, second.bodies, strict=True)]
    both.sort(key=lambda one: one[0])
    return Mixed(
        Load([due for due, _, _ in both], [body for _, body, _ in both]),
        [place for place, one in enumerate(both) if one[2]],
        [place for place, one in enumerate(both) if not one[2]],
    )


async def lanes_deployment(site: Site) -> Deployment:
    """The simulator with bounded slots and fixed times, and a worker with as many."""
    cloud = bounded_cloud(SLOTS, FIRST_S, PER_TOKEN_S)
    return await made_deployment(
        site,
        "lanes",
        provider={"max_in_flight": SLOTS},
        simulator={"clouds": {PROVIDER: cloud}},
    )


async def light_ratios(site: Site, pace: Pace, runs: int) -> list[float]:
    """Light prompts' p95 beside heavy ones at 120% of capacity, divided by that of light alone."""
    deployment = await lanes_deployment(site)
    light, heavy = light_bodies(LIGHT_TOKENS), light_bodies(HEAVY_TOKENS)
    ratios = []
    async with deployment.running(SIMULATOR, CLASSIFIER, WORKER):
        with await open_loop(deployment.settings) as loop:
            await loop.offer(steady(LIGHT_RATE, _SETTLED_S, light))  # connections are made
            for run in range(1, runs + 1):
                alone = await loop.offer(steady(LIGHT_RATE, pace.lanes_alone_s, light))
                both = mixed(
                    steady(LIGHT_RATE, pace.lanes_beside_s, light),
                    steady(heavy_rate(), pace.lanes_beside_s, heavy),
                )
                beside = await loop.offer(both.load)
                busy = busy_share(beside, both)
                before = quantile(alone.latencies_ms(), 0.95)
                after = quantile(beside.latencies_ms(both.first), 0.95)
                slow = quantile(beside.latencies_ms(both.second), 0.95)
                site.say(
                    f"  run {run}: light p95 {before:.0f} ms alone, {after:.0f} ms beside heavy "
                    f"(whose p95 is {slow:,.0f} ms); {busy:.0%} of the slots busy"
                )
                if busy < BUSY_SHARE:
                    raise MeasurementFailedError(
                        f"Only {busy:.0%} of the {SLOTS} slots were busy, so heavy prompts were "
                        f"no load of {OFFERED:.0%} of capacity."
                    )
                ratios.append(after / before)
    return ratios


def busy_share(offered: Offered, both: Mixed) -> float:
    """The share of the slots' time that went into answers, from when the load has settled on."""
    watch = offered.watch
    begins, ends = watch.due[0] + _SETTLED_S, watch.due[-1]
    used = sum(
        service_s(tokens) * sum(begins < watch.at[place] <= ends for place in places)
        for places, tokens in ((both.first, LIGHT_TOKENS), (both.second, HEAVY_TOKENS))
    )
    return used / (SLOTS * (ends - begins))
