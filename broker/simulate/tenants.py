"""Tenants' limits in virtual time: the real door and books, with a ledger that is never late."""

from broker.classifier.door import Door, OpenDoor
from broker.classifier.tenant_books import TenantBooks
from broker.classifier.tenant_costs import expected_costs
from broker.classifier.tenant_door import TenantDoor
from broker.records.tenants import Charged, Entry
from broker.settings import Settings

_PARTITION = 0
"""All prompts of a replay stand in one."""


class SimulatedTenants:
    """The limits of every tenant, kept by the only classifier."""

    def __init__(self, settings: Settings) -> None:
        self._books = TenantBooks(1, settings.tenant_terms())
        self._books.owns(frozenset({_PARTITION}))
        self._read = 0
        self.door: Door = OpenDoor()
        if self._books.terms.any_limits:
            self.door = TenantDoor("", self._books, expected_costs(settings, _unpriced))

    def ended(self, tenant: str, charged: Charged, tokens: int, usd: float | None) -> None:
        """A prompt used so much: what differs from its charge is put right."""
        more = tokens - charged.tokens
        dollars = 0.0 if usd is None else usd - charged.usd
        entry = Entry(tenant, "correction", charged.partition, charged.at, 0.0, more, dollars)
        self._books.read(self._read, entry)
        self._read += 1


def _unpriced(_model: str) -> None:
    """The tables say that costs are not known."""
