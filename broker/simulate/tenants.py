"""Tenants' limits in virtual time: the real door and books, with a ledger that is never late."""

from broker.classifier.door import Door, OpenDoor
from broker.classifier.tenant_books import TenantBooks
from broker.classifier.tenant_costs import expected_costs
from broker.classifier.tenant_door import TenantDoor
from broker.records.incoming import Source
from broker.records.tenants import Charged, Entry, Line
from broker.settings import Settings

_PARTITION = 0
"""All prompts of a replay stand in one."""


class SimulatedTenants:
    """The limits of every tenant, kept by the only classifier."""

    def __init__(self, settings: Settings) -> None:
        self._books = TenantBooks(1, settings.tenant_terms())
        self._books.owns(frozenset({_PARTITION}))
        self._position = 0
        self._read(self._books.claim)
        self.door: Door = OpenDoor()
        if self._books.terms.any_limits:
            self.door = TenantDoor("", self._books, expected_costs(settings, _unpriced))

    def ended(
        self, tenant: str, place: Source, charged: Charged, tokens: int, usd: float | None
    ) -> None:
        """A prompt used so much: its charge is met in the ledger, and what differs put right."""
        at, partition = charged.at, charged.partition
        met = (1.0, charged.tokens, charged.usd)
        self._read(
            Entry(tenant, "charge", partition, at, *met, source=(place.partition, place.offset))
        )
        more = tokens - charged.tokens
        dollars = 0.0 if usd is None else usd - charged.usd
        self._read(Entry(tenant, "correction", partition, at, 0.0, more, dollars))

    def _read(self, line: Line) -> None:
        self._books.read(self._position, line)
        self._position += 1


def _unpriced(_model: str) -> None:
    """The tables say that costs are not known."""
