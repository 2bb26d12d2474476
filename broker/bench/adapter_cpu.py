"""What a call through a dialect's adapter costs a worker: request, HTTP, reply, without Kafka.

`python -m broker.bench.adapter_cpu SETTINGS SECONDS` calls the stand-in provider with 50 calls at
once and prints the CPU time of its whole process for each call, in microseconds.
"""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Final

import uvloop

from broker.bench.deployment import PROVIDER, made_deployment
from broker.bench.failing import MeasurementFailedError
from broker.bench.own_process import measured_apart
from broker.bench.pace import Pace
from broker.bench.prompts import bench_work
from broker.bench.site import Site
from broker.settings import load_settings
from broker.supervisor.parent_death import follow_parent
from broker.telemetry.collecting import collect_less
from workers.calling import ProviderClient
from workers.parts import build_client

AT_ONCE: Final = 50
_WARM_S: Final = 0.5


async def adapter_cpu_per_call(site: Site, pace: Pace, run: int) -> float:
    """Microseconds of CPU for each whole chat call; raises MeasurementFailedError."""
    deployment = await made_deployment(site, f"called{run}")
    found = await measured_apart(
        "adapter_cpu", deployment.config, pace.steady_s / 3, doing="Calling the stand-in"
    )
    site.say(f"  run {run}: {found['us']:.0f} us for each of {found['calls']:,} calls")
    return float(found["us"])


async def _measured(config: Path, seconds: float) -> dict[str, float]:
    collect_less()
    client = build_client(load_settings(config), PROVIDER)
    try:
        await _call(client, _WARM_S)
        before = time.process_time()
        calls = await _call(client, seconds)
        return {"us": (time.process_time() - before) / calls * 1e6, "calls": calls}
    finally:
        await client.close()


async def _call(client: ProviderClient, seconds: float) -> int:
    """Call for so long, `AT_ONCE` calls at the same time; how many were answered."""
    ends, answered = time.monotonic() + seconds, 0

    async def one_after_the_other(number: int) -> None:
        nonlocal answered
        work = bench_work(f"call-{number}")
        while time.monotonic() < ends:
            result = await client.call(await client.prepare(work), 1)
            if result.answer is None:
                raise MeasurementFailedError(f"The stand-in answered with {result.status}.")
            answered += 1

    async with asyncio.TaskGroup() as group:
        for number in range(AT_ONCE):
            group.create_task(one_after_the_other(number))
    return answered


if __name__ == "__main__":
    follow_parent()
    given, long = Path(sys.argv[1]), float(sys.argv[2])
    sys.stdout.write(json.dumps(uvloop.run(_measured(given, long))))
