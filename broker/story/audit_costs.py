"""What calls cost together, and what of it repeats cost. Pure; fed by `audit`."""

from dataclasses import dataclass, field
from typing import Any

from broker.story.ledger import MOST, Ledger
from broker.story.lines import CallLine

_DIGITS = 9


@dataclass(slots=True)
class Bill:
    """A sum of costs. `unknown` counts the calls whose cost nobody knows; they are left out."""

    known_usd: float = 0.0
    unknown: int = 0
    estimated: bool = False

    def add(self, usd: float | None, *, estimated: bool) -> None:
        """One call more."""
        if usd is None:
            self.unknown += 1
            return
        self.known_usd += usd
        self.estimated |= estimated

    @property
    def usd(self) -> float | None:
        """The sum of what is known; None when that is nothing and something is unknown."""
        if self.unknown and not self.known_usd:
            return None
        return round(self.known_usd, _DIGITS)


@dataclass(slots=True)
class Costs:
    """The bill of an audit.

    A repeat is every call beyond the one that answered (or refused) each completion that is due:
    calls that failed, that were moved away from, or whose answer was lost in a crash and asked for
    again.
    """

    ledger: Ledger
    all: Bill = field(default_factory=Bill)
    repeats: Bill = field(default_factory=Bill)

    def ended(self, row: int, line: CallLine, due: int) -> None:
        """A call's end, of an id that is to have `due` completions."""
        self.all.add(line.cost_usd, estimated=line.cost_estimated is True)
        books = self.ledger
        answered = line.outcome == "ok" or (
            line.outcome == "stop" and line.http_status is not None and books.refused[row]
        )
        if answered and books.answered[row] < due:
            books.answered[row] = min(MOST, books.answered[row] + 1)
        else:
            self.repeats.add(line.cost_usd, estimated=line.cost_estimated is True)

    def as_json(self) -> dict[str, Any]:
        """The part of the contract's JSON object that is about money."""
        return {
            "cost_usd": self.all.usd,
            "cost_estimated": self.all.estimated,
            "repeats_cost_usd": self.repeats.usd,
            "calls_of_unknown_cost": self.all.unknown,
        }
