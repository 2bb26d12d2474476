"""How far two workers together are off a limit per minute, as the provider counts their calls."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final

from broker.bench.deployment import (
    CLASSIFIER,
    PROVIDER,
    SIMULATOR,
    made_deployment,
    worker_name,
)
from broker.bench.failing import MeasurementFailedError
from broker.bench.open_loop import open_loop
from broker.bench.pace import Pace
from broker.bench.prompts import in_turn, light_bodies
from broker.bench.site import Site
from broker.bench.waiting import until
from workers.simulator.remote import RemoteSimulator

PER_MINUTE: Final = 600
_SETTLED_S: Final = 8
"""From the first call on: both workers know each other's share by then."""
_CLOUD: Final[dict[str, Any]] = {
    "first_token_s": 0.1,
    "per_input_token_s": 0.0,
    "per_token_s": 0.000_5,
    "spread": 0.0,
}


async def quota_error(site: Site, pace: Pace, run: int) -> float:
    """Percent by which the worst minute is off the limit, above or below, while work waits."""
    deployment = await made_deployment(
        site,
        f"quota{run}",
        provider={"requests_per_minute": PER_MINUTE},
        simulator={"clouds": {PROVIDER: _CLOUD}},
    )
    count = round((pace.quota_s + 4 * _SETTLED_S) * PER_MINUTE / 60)
    simulator = RemoteSimulator(f"http://127.0.0.1:{deployment.simulator_port}")
    workers = [worker_name(slot=slot) for slot in range(2)]
    async with deployment.running(SIMULATOR, CLASSIFIER, *workers):
        with await open_loop(deployment.settings) as loop:
            await loop.fill(in_turn(light_bodies(), count), run=f"quota{run}")

        async def begun() -> bool:
            return bool(await _accepted(simulator))

        await until(begun, 30.0, lambda: "the provider had no call")
        began = time.time()
        await asyncio.sleep(_SETTLED_S + pace.quota_s)
        accepted = await _accepted(simulator)
    if sum(accepted) >= count:
        raise MeasurementFailedError("The backlog was worked off before the time was over.")
    # The first and the last second are not whole ones.
    judged = accepted[_SETTLED_S:-1]
    window = pace.quota_window_s
    worst, off = error_of(judged, window)
    site.say(
        f"  run {run}: {worst} calls in the worst {window} s of {time.time() - began:.0f}, "
        f"{PER_MINUTE * window / 60:.0f} allowed"
    )
    return off


def error_of(accepted: Sequence[int], window: int) -> tuple[int, float]:
    """The stretch of so many seconds that is furthest off the limit: its calls, and percent."""
    allowed = PER_MINUTE * window / 60
    sums = [sum(accepted[at : at + window]) for at in range(max(1, len(accepted) - window + 1))]
    worst = max(sums, key=lambda calls: abs(calls - allowed))
    return worst, 100 * abs(worst / allowed - 1)


async def _accepted(simulator: RemoteSimulator) -> list[int]:
    """Calls that the provider let in, second by second from its first one on."""
    answer = await asyncio.to_thread(simulator.served, PROVIDER, history=True)
    rows = {second: accepted for second, accepted, *_ in answer[PROVIDER]["history"]}
    return [rows.get(second, 0) for second in range(min(rows), max(rows) + 1)] if rows else []
