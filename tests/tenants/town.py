"""Several classifiers and a ledger, simulated: any interleaving of what they do and hear."""

import random
from dataclasses import dataclass, field, replace

from broker.classifier.tenant_books import TenantBooks
from broker.core.tenant_limits import Amounts, Refused, TenantLimits, TenantTerms
from broker.records.tenants import Entry, Totals

TENANT = "acme"


@dataclass(slots=True)
class Classifier:
    """What it knows, and what it has let in that is in no committed transaction yet."""

    books: TenantBooks
    owned: frozenset[int] = frozenset()
    open: list[Entry] = field(default_factory=list)


class Town:
    """The ledger and the processes. Every admission ends in the ledger, or with its partition."""

    def __init__(self, limits: TenantLimits, partitions: int, classifiers: int, seed: int) -> None:
        self.random = random.Random(seed)
        self.terms = TenantTerms(limits={TENANT: limits})
        self.limits = limits
        self.partitions = partitions
        self.ledger: list[Entry] = []
        self.totals: Totals | None = None
        self.offsets = [0] * partitions
        self.all = [Classifier(self._books()) for _ in range(classifiers)]
        self.refused: list[Refused] = []
        self.now = 1_795_000_000.0
        self.share_out()

    def _books(self) -> TenantBooks:
        return TenantBooks(self.partitions, self.terms)

    def ask(self, one: Classifier, amounts: Amounts) -> float | None:
        """A prompt comes to a classifier; when it begins, None when it is refused."""
        if not one.owned:
            return None
        partition = self.random.choice(sorted(one.owned))
        latest = self.now + self.limits.max_wait_s
        found = one.books.admit(TENANT, self.limits, amounts, self.now, latest)
        if isinstance(found, Refused):
            self.refused.append(found)
            return None
        offset = self.offsets[partition]
        self.offsets[partition] += 1
        entry = Entry(TENANT, "charge", partition, found, *amounts, f"{partition}-{offset}", offset)
        one.books.charge((partition, offset), TENANT, found, amounts)
        one.open.append(entry)
        return found

    def commit(self, one: Classifier) -> None:
        """Its transaction is committed."""
        self.ledger += one.open
        one.open = []

    def hear(self, one: Classifier, most: int) -> None:
        """It reads some lines more of the ledger."""
        start = one.books.position
        for offset in range(start, min(len(self.ledger), start + most)):
            one.books.read(offset, self.ledger[offset])

    def correct(self, share: float) -> None:
        """A worker ends a prompt: it used only this share of what it was charged."""
        ended = {entry.prompt for entry in self.ledger if entry.kind == "correction"}
        charges = [e for e in self.ledger if e.kind == "charge" and e.prompt not in ended]
        if charges:
            charge = self.random.choice(charges)
            less = (share - 1.0) * charge.tokens
            self.ledger.append(
                replace(charge, kind="correction", requests=0.0, tokens=less, usd=0.0, source=-1)
            )

    def share_out(self) -> None:
        """A rebalance: what is open is committed in time or lost; then all read to the end."""
        for one in self.all:
            if self.random.random() < 0.5:
                self.commit(one)
            for entry in one.open:
                # Its prompt is read again by whoever gets the partition.
                self.offsets[entry.partition] = min(self.offsets[entry.partition], entry.source)
            one.open = []
        owners = [self.random.choice(self.all) for _ in range(self.partitions)]
        for one in self.all:
            one.owned = frozenset(p for p in range(self.partitions) if owners[p] is one)
            one.books.owns(one.owned)
            self.hear(one, len(self.ledger))
            one.books.read_all()

    def tell_totals(self, one: Classifier) -> None:
        """It writes what it knows of the ledger."""
        for totals in one.books.totals(self.now):
            self.totals = totals

    def kill(self, one: Classifier) -> None:
        """It starts again, with the totals and the ledger from where those end or before."""
        one.books = self._books()
        first = 0
        if self.totals is not None:
            one.books.restore(self.totals)
            first = self.random.randint(0, self.totals.offset)
        one.books.position = first
        self.share_out()

    def begun(self) -> list[Entry]:
        """Every charge that holds, committed or still on its way."""
        lines = [entry for entry in self.ledger if entry.kind == "charge"]
        return [*lines, *(entry for one in self.all for entry in one.open)]

    def spent(self) -> float:
        """Tokens, by the ledger and what is on its way to it."""
        return sum(e.tokens for e in self.ledger) + sum(
            entry.tokens for one in self.all for entry in one.open
        )
