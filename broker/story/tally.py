"""The figures of one provider, or of one lane."""

from dataclasses import dataclass, field
from typing import Any

from broker.story.audit_costs import Bill
from broker.story.latencies import Latencies


@dataclass(slots=True)
class Tally:
    """What an audit counts of one provider or lane."""

    completed: int = 0
    calls: int = 0
    moves_in: int = 0
    moves_out: int = 0
    bill: Bill = field(default_factory=Bill)
    latencies: Latencies = field(default_factory=Latencies)

    def answered(self, ms: float) -> None:
        """A completion, so long after its prompt was accepted."""
        self.completed += 1
        self.latencies.add(ms)

    def as_json(self) -> dict[str, Any]:
        """Its part of the contract's JSON object."""
        return {
            "completed": self.completed,
            "calls": self.calls,
            "moves_in": self.moves_in,
            "moves_out": self.moves_out,
            "cost_usd": self.bill.usd,
            "latency_ms": self.latencies.summary(),
        }
