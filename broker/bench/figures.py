"""What is measured, in which unit, with which target, and what a figure's runs come to. Pure."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the bench. `better` says on which side of `target` a median meets it."""

    name: str
    unit: str
    target: float
    better: Literal["higher", "lower"]
    what: str

    def met_by(self, value: float) -> bool:
        """Whether this value is as good as the target."""
        return value >= self.target if self.better == "higher" else value <= self.target


FIGURES: Final[tuple[Figure, ...]] = (
    Figure("whole_way_rate", "prompts/s", 1_000, "higher", "highest rate held with p99 under 1 s"),
    Figure("whole_way_p50_50", "ms", 16, "lower", "prompt due to completion read, 50/s"),
    Figure("whole_way_p50_200", "ms", 30, "lower", "prompt due to completion read, 200/s"),
    Figure("classifier_rate", "prompts/s", 5_000, "higher", "one classifier, from a backlog"),
    Figure("worker_rate", "prompts/s", 1_500, "higher", "one worker, from a backlog"),
    Figure("cpu_per_1000", "CPU s", 4, "lower", "classifier, worker and broker at 200/s"),
    Figure("kill_recovery", "s", 3, "lower", "worker killed to its next committed completion"),
    Figure("in_flight_10000", "MB", 500, "lower", "one worker with 10,000 calls in flight"),
    Figure("adapter_cpu_us", "us", 400, "lower", "a chat call: request, HTTP, reply, in a worker"),
    Figure("first_token_added_ms", "ms", 25, "lower", "prompt due to its first piece read, 50/s"),
    Figure("stream_cpu_us_per_chunk", "us", 25, "lower", "assembling and publishing, in a worker"),
    Figure("quota_error", "%", 2, "lower", "worst minute of two workers, off a limit of 600/min"),
    Figure("failover_p95_ratio", "x", 3, "lower", "light with one provider down, to usual"),
    Figure("eta_within", "share", 0.8, "higher", "real ends within the said range, trace replay"),
    Figure("eta_within_moving", "share", 0.8, "higher", "the same, a cloud down and one slow"),
    Figure("simulate_rate", "prompts/s", 5_000, "higher", "a trace in virtual time, on one core"),
    Figure("light_p95_ratio", "x", 1.5, "lower", "light beside heavy at 120%, to light alone"),
    Figure("noisy_tenant_ratio", "x", 1.2, "lower", "50 tenants beside one of 100 times the load"),
    Figure("dispatch_us_10_tenants", "us", 25, "lower", "CPU of a dispatch, 100,000 jobs wait"),
    Figure("dispatch_us_100000_tenants", "us", 25, "lower", "the same, of as many tenants"),
    Figure("dispatch_tenants_ratio", "x", 1.2, "lower", "the second of these to the first"),
    Figure("lane_agreement", "share", 0.9, "higher", "prompts in hindsight's lane, on the traces"),
)
BY_NAME: Final = {figure.name: figure for figure in FIGURES}


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure with the value of each run. `quick` marks runs too short to be compared."""

    figure: Figure
    values: tuple[float, ...]
    quick: bool = False

    @property
    def median(self) -> float:
        """Of the runs."""
        return statistics.median(self.values)

    @property
    def met(self) -> bool:
        """Whether the median meets the target."""
        return self.figure.met_by(self.median)

    def as_json(self) -> dict[str, Any]:
        """The figure's line of output; values to four significant digits."""
        line: dict[str, Any] = {
            "name": self.figure.name,
            "unit": self.figure.unit,
            "median": rounded(self.median),
            "min": rounded(min(self.values)),
            "max": rounded(max(self.values)),
            "runs": len(self.values),
            "target": self.figure.target,
            "met": self.met,
        }
        if self.quick:
            line["quick"] = True
        return line


def rounded(value: float) -> float:
    """The value to four significant digits; a whole number from a thousand on."""
    if value == 0 or not math.isfinite(value):
        return value
    digits = 3 - math.floor(math.log10(abs(value)))
    return round(value, max(0, digits))


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value that this share of `ordered` (ascending, not empty) is not above: nearest rank."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def rate_between(times: Sequence[float]) -> float:
    """Records a second from the first to the last of these arrival times (seconds, any order).

    Those that came with the first are the beginning and do not count: what was done for them
    happened before it. Infinite when all came together.
    """
    first, last = min(times), max(times)
    rest = sum(time > first for time in times)
    return rest / (last - first) if rest else math.inf
