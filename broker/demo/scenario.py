"""Which faults the demonstration makes, and when."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

FaultKind = Literal["kill_worker", "kill_classifier", "outage"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: `at_s` seconds after the first prompt, on `target`, for `seconds` (outages)."""

    at_s: float
    kind: FaultKind
    target: str
    seconds: float = 0.0

    @property
    def sentence(self) -> str:
        """What is said when it happens."""
        if self.kind == "outage":
            return f"{self.target} goes down for {self.seconds:.0f} s: every call answers 503"
        return f"SIGKILL to {self.target}, with work in its hands"


def plan_faults(length_s: float, providers: Sequence[str]) -> tuple[Fault, ...]:
    """Faults for a replay of `length_s` seconds, providers in order of preference.

    The preferred provider's worker is killed while it is busiest, the classifier in the middle,
    and the second provider, which takes what overflows, goes down late enough that work is
    waiting there and must move.
    """
    preferred, second = providers[0], providers[min(1, len(providers) - 1)]
    return (
        Fault(length_s * 0.25, "kill_worker", f"worker-{preferred}"),
        Fault(length_s * 0.45, "kill_classifier", "classifier"),
        Fault(length_s * 0.60, "outage", second, seconds=max(4.0, length_s * 0.13)),
    )
