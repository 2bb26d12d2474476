"""What the classifiers' doors would say to a prompt now. Pure, but for who reads the ledger."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from broker.classifier.door import Admitted
from broker.classifier.tenant_books import TenantBooks
from broker.classifier.tenant_costs import ExpectedCosts
from broker.classifier.tenant_door import TenantDoor
from broker.classifier.weighing import Weighed
from broker.core.tenant_limits import TenantTerms
from broker.records.completion import Failure
from broker.records.prompt import Prompt
from broker.records.tenants import Line, Totals
from broker.records.times import to_rfc3339

Read = Totals | tuple[int, Line]
"""A tenant's totals, or a line of the ledger with its offset."""


@dataclass(frozen=True, slots=True)
class AtDoor:
    """What one classifier would say, which has so many of the prompts' partitions."""

    partitions: int
    said: Admitted | Failure

    @property
    def verdict(self) -> str:
        """`let_in`, `waits` or `refused`."""
        if isinstance(self.said, Failure):
            return "refused"
        return "let_in" if self.said.not_before is None else "waits"

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        value: dict[str, Any] = {"verdict": self.verdict, "partitions": self.partitions}
        said = self.said
        if isinstance(said, Failure):
            return {**value, "error": said.as_json()}
        if said.not_before is not None:
            value["not_before"] = to_rfc3339(said.not_before)
        if said.charged is not None:
            value["charged"] = {"requests": 1, "tokens": said.charged.tokens}
            value["charged"]["usd"] = said.charged.usd
        return value


class Doors:
    """The doors of several classifiers, each with some of the prompts' `partitions`.

    Where `parts` has none, one classifier is taken to have all partitions.
    """

    def __init__(
        self,
        parts: Sequence[frozenset[int]],
        partitions: int,
        terms: TenantTerms,
        costs: ExpectedCosts,
    ) -> None:
        self._costs = costs
        self._books = []
        for part in parts or [frozenset(range(partitions))]:
            books = TenantBooks(partitions, terms)
            books.owns(part)
            self._books.append((len(part), books))

    def read(self, lines: Iterable[Read | None]) -> None:
        """The ledger as it is now; None is what is not in our form."""
        for one in lines:
            for _, books in self._books:
                if isinstance(one, Totals):
                    books.restore(one)
                elif one is not None:
                    books.read(*one)

    def say(self, prompt: Prompt, weighed: Weighed, now: float) -> tuple[AtDoor, ...]:
        """To this prompt at `now` (unix seconds); it is charged nowhere."""
        return tuple(
            AtDoor(partitions, TenantDoor("", books, self._costs).admit(prompt, weighed, now))
            for partitions, books in self._books
        )
