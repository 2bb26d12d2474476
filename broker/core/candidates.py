"""A provider as a choice sees it: how it stands, and what it would take there."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from broker.core.expected_time import call_seconds


class Standing(Enum):
    """How a provider stands, as far as is known."""

    ABLE = "able"
    SILENT = "silent"
    PROBING = "probing"
    OUT = "out"


@dataclass(frozen=True, slots=True)
class Candidate:
    """One provider's figures at the time of a choice. Times are seconds from then."""

    provider: str
    standing: Standing
    wait_s: float = 0.0
    """Expected wait before work sent now begins; 0 while nothing speaks against it."""
    probe_in_s: float = math.inf
    probe_free: bool = False
    """Probing, and nothing is there or on its way that could be the probe."""
    waiting_weight: float = 0.0
    speed: float | None = None
    in_flight: int = 0
    slots: int = 0
    age_s: float | None = None
    """Age of the newest report when these figures were made; None when there never was one."""
    calls: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """What calls take, by model, as in `broker.core.expected_time`."""
    late: float = 1.0
    """How wrong the expectation was lately in this lane: real over expected."""

    @property
    def figures(self) -> str:
        """In words, with figures, to follow the provider's name."""
        if self.standing is Standing.SILENT:
            return "never reported" if self.age_s is None else f"silent for {self.age_s:.1f} s"
        if self.standing is Standing.PROBING:
            return "is being tried again"
        if self.standing is Standing.OUT:
            return f"has its breaker open for {self.probe_in_s:.1f} s"
        if self.age_s is None:
            waits = f" and waits about {self.wait_s:.1f} s" if self.wait_s else ""
            return f"has not reported yet{waits}"
        return f"waits {self.wait_s:.1f} s"

    def time_s(self, model: str, output_tokens: int) -> float | None:
        """From now to the end of an answer of so many tokens; None where no call was measured."""
        call = call_seconds(self.calls, model, output_tokens)
        return None if call is None else (self.wait_s + call) * self.late
