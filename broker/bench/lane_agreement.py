"""How well learned weights put prompts into their lanes, on recorded traffic, beside plain rules.

Every prompt is weighed with what was known when it came, and its answer is learned when it would
have ended; nothing of a later time is used, and no figure taken from these traces. `python -m
broker.bench.lane_agreement CONV.csv CODE.csv` does it for whole traces as they were published.
"""

import csv
import heapq
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from pathlib import Path
from typing import Final

from broker.bench.expectation_scores import lane_share, pinball, tau_b
from broker.bench.pace import Pace
from broker.bench.site import Site
from broker.bench.weighing_rules import RULES, Rule, ended_at
from broker.core.lane_fitting import LaneFitting
from broker.core.lanes import LanePlan, default_ranges
from broker.core.weighing import weigh
from broker.load.traces import SOURCES, Source, TraceRequest, load_trace
from broker.settings.lanes import LaneSettings
from broker.settings.lengths import LengthSettings

WARM: Final = 5
"""The first fifth of the requests is learned from and not judged."""


@dataclass(frozen=True, slots=True)
class Scores:
    """Of one rule on one trace. `pinball` is in tokens at the used quantile.

    `lanes` is the share in hindsight's lane by the settings' thresholds, `fitted_lanes` by those
    that `lanes = "auto"` would come to.
    """

    rule: str
    pinball: float
    tau: float
    lanes: float
    fitted_lanes: float

    def beats(self, other: "Scores") -> bool:
        """Whether it is better by every measure."""
        return (
            self.pinball < other.pinball
            and self.tau > other.tau
            and self.lanes > other.lanes
            and self.fitted_lanes > other.fitted_lanes
        )

    def __str__(self) -> str:
        return (
            f"{self.rule:12s} {self.lanes:6.1%} in hindsight's lane ({self.fitted_lanes:.1%} of "
            f"fitted ones), tau {self.tau:.3f}, pinball {self.pinball:.1f} tokens"
        )


def scores(trace: Sequence[TraceRequest]) -> dict[str, Scores]:
    """Every rule on this trace, which is in the order of its times."""
    first = len(trace) // WARM
    judged = trace[first:]
    lanes = LaneSettings()
    factor = lanes.output_factor
    real = [weigh(one.input_tokens, one.output_tokens, factor) for one in judged]
    plans = (_plan(lanes.light_max, lanes.heavy_min), _fitted(trace[:first], lanes))
    found = {}
    for name, rule in RULES.items():
        said = replay(trace, rule())[first:]
        weights = [
            weigh(one.input_tokens, ceil(tokens), factor)
            for one, tokens in zip(judged, said, strict=True)
        ]
        found[name] = Scores(
            name,
            pinball(LengthSettings().quantile, said, [one.output_tokens for one in judged]),
            tau_b(weights, real),
            *(lane_share(weights, real, plan) for plan in plans),
        )
    return found


def replay(trace: Iterable[TraceRequest], rule: Rule) -> list[float]:
    """What the rule expects of each request when it comes; answers are learned as they end."""
    under_way: list[tuple[float, int, TraceRequest]] = []
    said = []
    for number, request in enumerate(trace):
        while under_way and under_way[0][0] <= request.at_s:
            rule.learn(heapq.heappop(under_way)[2])
        said.append(rule.expected(request))
        heapq.heappush(under_way, (ended_at(request), number, request))
    return said


def _plan(light_max: int, heavy_min: int) -> LanePlan:
    return LanePlan(light_max, heavy_min, default_ranges(12))


def _fitted(seen: Sequence[TraceRequest], lanes: LaneSettings) -> LanePlan:
    """Where the thresholds would go by the real weights of these requests."""
    now = seen[-1].at_s
    fitting = LaneFitting(lanes.light_share, lanes.heavy_share, lanes.fit_half_life_s, now)
    for one in seen:
        fitting.saw(weigh(one.input_tokens, one.output_tokens, lanes.output_factor), one.at_s)
    wanted = fitting.wanted(now)
    if wanted is None:
        return _plan(lanes.light_max, lanes.heavy_min)
    return _plan(wanted.light_max, wanted.heavy_min)


async def lane_agreement(site: Site, pace: Pace, run: int) -> float:
    """The learned rule's share of prompts in hindsight's lane, on the shipped parts of the traces.

    What the plain rules reach is said beside it; every run has the same result.
    """
    del pace
    found = scores(load_trace())
    if run == 1:
        for one in found.values():
            site.say(f"  {one}")
    return found["learned"].lanes


def published(path: Path, source: Source) -> list[TraceRequest]:
    """A whole trace as Microsoft publishes it, with times as unix seconds."""
    with path.open(encoding="ascii") as lines:
        return [
            TraceRequest(
                datetime.fromisoformat(f"{row['TIMESTAMP'][:26]}+00:00").timestamp(),
                int(row["ContextTokens"]),
                int(row["GeneratedTokens"]),
                source,
            )
            for row in csv.DictReader(lines)
        ]


def main(paths: Sequence[str]) -> None:
    """Print the scores of the shipped parts, or of the whole traces at these paths."""
    given = (
        {source: published(Path(path), source) for source, path in zip(SOURCES, paths, strict=True)}
        if paths
        else {source: list(load_trace([source])) for source in SOURCES}
    )
    both = sorted((one for trace in given.values() for one in trace), key=lambda one: one.at_s)
    for name, trace in (("both", both), *given.items()):
        sys.stdout.write(f"{name}: {len(trace):,} requests\n")
        for one in scores(trace).values():
            sys.stdout.write(f"  {one}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
