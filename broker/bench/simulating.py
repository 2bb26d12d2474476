"""How many prompts a second `weighbridge simulate` replays on one core."""

import asyncio
from typing import Final

from broker.bench.pace import Pace
from broker.bench.site import Site
from broker.settings import load_settings
from broker.simulate.compare import compare
from broker.simulate.policies import AS_THEY_ARE, Policy
from broker.simulate.scenarios import of_traces

PROMPTS: Final = 20_000
QUICK: Final = 2_000
SPEED: Final = 4.0
"""Of both traces together: about 30 prompts a second."""


async def simulate_rate(site: Site, pace: Pace, run: int) -> float:
    """The shipped traces against the four default clouds, by CPU time without the reading."""
    settings = load_settings()
    prompts = QUICK if pace.quick else PROMPTS
    scenario = of_traces(settings, ("conv", "code"), prompts=prompts, speed=SPEED, seed=run)
    compared = await asyncio.to_thread(
        compare, scenario, (Policy(AS_THEY_ARE, settings),), lambda _: None
    )
    answered = compared.results[0][1].latency
    site.say(
        f"  run {run}: {compared.prompts_s:,.0f} prompts a second of CPU time, {answered.count:,} "
        f"answered, p95 {answered.p95 or 0:,.0f} ms of virtual time"
    )
    return compared.prompts_s
