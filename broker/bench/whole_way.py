"""Prompts in to read-committed completions out: latency, CPU, and the highest rate that holds."""

import math
import os
import time
from dataclasses import dataclass
from typing import Final

from broker.bench.deployment import CLASSIFIER, WORKER, Running
from broker.bench.failing import MeasurementFailedError
from broker.bench.figures import quantile
from broker.bench.ladder import Ladder, nearest
from broker.bench.open_loop import Offered, OpenLoop, steady
from broker.bench.pace import Pace
from broker.bench.prompts import light_bodies
from broker.bench.site import Site
from broker.bench.usage import cpu_of, total

HOLD_P99_MS: Final = 1_000.0
RUNGS: Final = tuple(float(rate) for rate in range(50, 3_001, 50))
_SEARCH_FROM: Final = 600.0
_SLOW_SHARE: Final = 0.01


@dataclass(frozen=True, slots=True)
class Steady:
    """One run at a steady rate; the CPU is that of classifier, worker and broker, seconds."""

    p50_ms: float
    cpu_per_1000: float
    prompts: int


class WholeWay:
    """The measurements on one deployment whose classifier and worker run."""

    def __init__(self, site: Site, running: Running, loop: OpenLoop, pace: Pace) -> None:
        self._site = site
        self._running = running
        self._loop = loop
        self._pace = pace
        self._bodies = light_bodies()

    @property
    def pids(self) -> dict[str, int]:
        """The processes that count, by name."""
        return {
            CLASSIFIER: self._running.pid(CLASSIFIER),
            WORKER: self._running.pid(WORKER),
            "broker": self._site.broker_pid,
        }

    @property
    def pids_beside(self) -> dict[str, int]:
        """Processes that do not count, by name."""
        return {"stand-in": self._site.stand_in.pid}

    async def warm(self) -> None:
        """Load until Java has compiled what is hot, which takes it about a minute."""
        pace = self._pace
        self._site.say(f"warming Java for {pace.warm_s:.0f} s at {pace.warm_rate:.0f}/s")
        offered = await self.offer(pace.warm_rate, pace.warm_s)
        self._site.say(f"  warm: {offered.sentence()}")

    async def steady(self, rate: float) -> Steady:
        """One run at this rate."""
        pids = self.pids | self.pids_beside | {"generator and reader": os.getpid()}
        before = {name: cpu_of(pid) for name, pid in pids.items()}
        offered = await self.offer(rate, self._pace.steady_s)
        used = {name: cpu_of(pid).since(before[name]) for name, pid in pids.items()}
        counted = {name: used[name] for name in self.pids}
        prompts = offered.watch.count
        per_1000 = total(counted.values()).total * 1000 / prompts
        shares = ", ".join(f"{name} {cpu.total * 1000 / prompts:.2f}" for name, cpu in used.items())
        self._site.say(f"  {rate:.0f}/s: {offered.sentence()}")
        self._site.say(f"  {rate:.0f}/s: {per_1000:.2f} CPU s per 1,000 prompts; {shares}")
        return Steady(quantile(offered.latencies_ms(), 0.5), per_1000, prompts)

    async def offer(self, rate: float, seconds: float) -> Offered:
        """A steady load, until all is answered."""
        return await self._loop.offer(steady(rate, seconds, self._bodies))

    async def highest_rates(self, runs: int) -> list[float]:
        """The highest rate that holds, so many times.

        A search with short holds finds where to begin; then each run holds for the whole time and
        climbs or descends until the next rung is known not to hold. Runs that would begin after
        the search's time are left out, but for one.
        """
        pace, ends = self._pace, time.monotonic() + self._pace.search_s
        found = await self._climb(Ladder(RUNGS, nearest(RUNGS, _SEARCH_FROM), 4), pace.screen_s)
        rates: list[float] = []
        while len(rates) < runs and (not rates or time.monotonic() < ends):
            found = await self._climb(Ladder(RUNGS, nearest(RUNGS, found)), pace.hold_s)
            self._site.say(f"  run {len(rates) + 1}: {found:.0f}/s held for {pace.hold_s:.0f} s")
            rates.append(found)
        return rates

    async def _climb(self, ladder: Ladder, hold_s: float) -> float:
        while (rate := ladder.next_rung) is not None:
            ladder = ladder.after(await self._holds(rate, hold_s))
        if ladder.best is None:
            raise MeasurementFailedError(f"Not even {RUNGS[0]:.0f}/s held for {hold_s:.0f} s.")
        return ladder.best

    async def _holds(self, rate: float, hold_s: float) -> bool:
        load = steady(rate, hold_s, self._bodies)
        offered = await self._loop.offer(load, slow_share=_SLOW_SHARE)
        p99 = math.inf if offered.cut else quantile(offered.latencies_ms(), 0.99)
        held = p99 < HOLD_P99_MS
        told = "given up early" if offered.cut else offered.sentence()
        word = "holds" if held else "does not hold"
        self._site.say(f"  {rate:.0f}/s for {hold_s:.0f} s {word}: {told}")
        return held
