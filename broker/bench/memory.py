"""How much memory a worker takes that has very many calls in flight."""

import asyncio
import resource
from typing import Any, Final

from broker.bench.arrivals import Watch
from broker.bench.deployment import CLASSIFIER, WORKER, made_deployment
from broker.bench.failing import MeasurementFailedError
from broker.bench.open_loop import open_loop
from broker.bench.pace import Pace
from broker.bench.prompts import in_turn, light_bodies
from broker.bench.site import Site
from broker.bench.usage import rss_mb
from broker.bench.waiting import until

_DEADLINE_S: Final = 120.0
_LONG_S: Final = 600.0
_OTHER_FILES: Final = 200
_SAMPLES: Final = 8
_APART_S: Final = 0.25


async def memory_in_flight(site: Site, pace: Pace, run: int) -> float:
    """Millions of bytes that the worker holds in RAM while the stand-in keeps all calls open."""
    count, stand_in = pace.in_flight, site.stand_in
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files < count + _OTHER_FILES:
        raise MeasurementFailedError(
            f"A process may have {files:,} files open here, too few for {count:,} connections.",
            mend="Raise the hard limit (`ulimit -Hn`), or measure as another user.",
        )
    provider: dict[str, Any] = {
        "base_url": stand_in.held_url,
        "max_in_flight": count,
        "adaptive": False,  # no call ever ends, so that nothing could be found out
        "first_byte_s": _LONG_S,
        "total_s": _LONG_S,
    }
    deployment = await made_deployment(site, f"held{run}", provider=provider)
    held = 0

    async def all_held() -> bool:
        nonlocal held
        held = await stand_in.held()
        return held >= count

    async with deployment.running(CLASSIFIER, WORKER) as running:
        with await open_loop(deployment.settings) as loop:
            pid = running.pid(WORKER)
            idle = rss_mb(pid)
            watch = Watch(f"held{run}", count)
            try:
                loop.watch(watch)
                await loop.fill(in_turn(light_bodies(), count), run=watch.run)
                await until(all_held, _DEADLINE_S, lambda: f"{held:,} of {count:,} calls are open")
                most = 0.0
                for _ in range(_SAMPLES):
                    most = max(most, rss_mb(pid))
                    await asyncio.sleep(_APART_S)
            finally:
                await stand_in.release()
            await loop.answered(watch)
            after = rss_mb(pid)
    site.say(
        f"  run {run}: {most:.0f} MB with {count:,} calls in flight, {idle:.0f} MB before, "
        f"{after:.0f} MB after all were answered"
    )
    return most
