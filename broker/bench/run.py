"""The whole bench: what is measured in which order, and where it is told."""

import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from broker.bench.adapter_cpu import adapter_cpu_per_call
from broker.bench.backlogs import classifier_rate, worker_rate
from broker.bench.deployment import CLASSIFIER, WORKER, made_deployment
from broker.bench.dispatch import dispatch_costs
from broker.bench.expected_times import eta_within
from broker.bench.failover import failover_ratio
from broker.bench.figures import BY_NAME, Measured
from broker.bench.kill import kill_recovery
from broker.bench.lane_agreement import lane_agreement
from broker.bench.lanes import light_ratios
from broker.bench.memory import memory_in_flight
from broker.bench.noisy import noisy_ratios
from broker.bench.open_loop import open_loop
from broker.bench.pace import Pace
from broker.bench.profile import Profile, profiled
from broker.bench.quotas import quota_error
from broker.bench.simulating import simulate_rate
from broker.bench.site import Site, opened_site
from broker.bench.streams import first_token_added, stream_cpu_per_chunk
from broker.bench.whole_way import WholeWay
from broker.records.errors import WeighbridgeError

SLOW: Final = 50.0
STEADY: Final = 200.0

Values = Mapping[str, Sequence[float]]
"""By figure, the value of each run."""
Act = Callable[[], Awaitable[Values]]

Alone = Callable[[Site, Pace, int], Awaitable[float]]
ALONE: Final[tuple[tuple[str, Alone], ...]] = (
    ("classifier_rate", classifier_rate),
    ("worker_rate", worker_rate),
    ("kill_recovery", kill_recovery),
    ("in_flight_10000", memory_in_flight),
    ("adapter_cpu_us", adapter_cpu_per_call),
    ("first_token_added_ms", first_token_added),
    ("stream_cpu_us_per_chunk", stream_cpu_per_chunk),
    ("quota_error", quota_error),
    ("failover_p95_ratio", failover_ratio),
    ("simulate_rate", simulate_rate),
    ("lane_agreement", lane_agreement),
)


@dataclass(slots=True)
class Report:
    """What came of it. `failures` are sentences, one for each figure that was not measured."""

    measured: list[Measured] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    profile: Profile | None = None


class Bench:
    """One run of the bench; `emit` gets each figure as soon as it is there."""

    def __init__(
        self,
        pace: Pace,
        names: Collection[str],
        *,
        say: Callable[[str], None],
        emit: Callable[[Measured], None],
        keep: bool = False,
        profile: bool = False,
    ) -> None:
        self._pace = pace
        self._names = names
        self._emit = emit
        self._keep = keep
        self._profile = profile
        self._began = time.monotonic()
        self._tell = say
        self.report = Report()

    async def run(self) -> Report:
        """Measure; a figure that cannot be measured does not keep the others from it.

        Raises WeighbridgeError when nothing can be measured at all.
        """
        async with opened_site(self._say, keep=self._keep) as site:
            await self._whole_way(site)
            for name, measure in ALONE:
                await self._measure((name,), self._runs(site, name, measure))
            pace = self._pace

            async def words() -> Values:
                runs = range(1, pace.runs + 1)
                shares = [await eta_within(site, pace, run) for run in runs]
                steady, moving = zip(*shares, strict=True)
                return {"eta_within": steady, "eta_within_moving": moving}

            async def ratios() -> Values:
                return {"light_p95_ratio": await light_ratios(site, pace, pace.runs)}

            async def noisy() -> Values:
                return {"noisy_tenant_ratio": await noisy_ratios(site, pace, pace.runs)}

            await self._measure(("eta_within", "eta_within_moving"), words)
            await self._measure(("light_p95_ratio",), ratios)
            await self._measure(("noisy_tenant_ratio",), noisy)
            await self._dispatch(site)
        return self.report

    async def _whole_way(self, site: Site) -> None:
        """Also what warms the broker, so this is run whatever is asked for."""
        runs = self._pace.runs
        deployment = await made_deployment(site, "bench")
        async with deployment.running(CLASSIFIER, WORKER) as running:
            with await open_loop(deployment.settings) as loop:
                way = WholeWay(site, running, loop, self._pace)
                await way.warm()

                async def at_50() -> Values:
                    steady = [await way.steady(SLOW) for _ in range(runs)]
                    return {"whole_way_p50_50": [one.p50_ms for one in steady]}

                async def at_200() -> Values:
                    steady = [await way.steady(STEADY) for _ in range(runs)]
                    return {
                        "whole_way_p50_200": [one.p50_ms for one in steady],
                        "cpu_per_1000": [one.cpu_per_1000 for one in steady],
                    }

                async def highest() -> Values:
                    return {"whole_way_rate": await way.highest_rates(runs)}

                await self._measure(("whole_way_p50_50",), at_50)
                await self._measure(("whole_way_p50_200", "cpu_per_1000"), at_200)
                if self._profile:
                    self._say(f"profile at {STEADY:.0f}/s")
                    self.report.profile = await profiled(way, STEADY)
                await self._measure(("whole_way_rate",), highest)

    async def _dispatch(self, site: Site) -> None:
        names = ("dispatch_us_10_tenants", "dispatch_us_100000_tenants", "dispatch_tenants_ratio")

        async def act() -> Values:
            runs = range(1, self._pace.runs + 1)
            found = [await dispatch_costs(site, self._pace, run) for run in runs]
            few, many = [one for one, _ in found], [one for _, one in found]
            ratios = [two / one for one, two in found]
            return dict(zip(names, (few, many, ratios), strict=True))

        await self._measure(names, act)

    def _runs(self, site: Site, name: str, measure: Alone) -> Act:
        async def act() -> Values:
            runs = range(1, self._pace.runs + 1)
            return {name: [await measure(site, self._pace, run) for run in runs]}

        return act

    async def _measure(self, names: Sequence[str], act: Act) -> None:
        wanted = [name for name in names if name in self._names]
        if not wanted:
            return
        self._say(f"measuring {' and '.join(wanted)}")
        try:
            values = await act()
        except WeighbridgeError as error:
            self._say(f"  NOT MEASURED: {error}")
            self.report.failures.append(f"{', '.join(wanted)}: {error}")
            return
        for name in wanted:
            measured = Measured(BY_NAME[name], tuple(values[name]), quick=self._pace.quick)
            self.report.measured.append(measured)
            self._emit(measured)

    def _say(self, text: str) -> None:
        self._tell(f"{time.monotonic() - self._began:6.1f} s  {text}")
