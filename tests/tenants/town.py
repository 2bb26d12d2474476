"""Several classifiers and a ledger, simulated: any interleaving of what they do and hear."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from broker.classifier.tenant_books import TenantBooks
from broker.core.tenant_limits import NO_BOUNDS, Amounts, Refused, TenantLimits, TenantTerms
from broker.records.tenants import Entry, Line, Totals

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
        self.ledger: list[Line] = []
        self.totals: Totals | None = None
        self.asked = 0
        self.late: list[Line] = []
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
        at, part = found
        place = (partition, self.offsets[partition])
        self.offsets[partition] += 1
        self.asked += 1
        one.books.charge(place, TENANT, part, at, amounts)
        one.open.append(Entry(TENANT, "charge", part, at, *amounts, f"p-{self.asked}", place))
        return at

    def commit(self, one: Classifier) -> None:
        """Its transaction is committed."""
        self.ledger += one.open
        one.open = []

    def hear(self, one: Classifier, most: int, *, surely: bool = False) -> None:
        """It reads some lines more of the ledger."""
        start = one.books.position
        for offset in range(start, min(len(self.ledger), start + most)):
            one.books.read(offset, self.ledger[offset])
        for line in one.books.answer(self.now):
            self._say(line, surely=surely)

    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds

    def lend(self, one: Classifier, *, surely: bool = False) -> None:
        """It lends what it can spare; a line may get lost, or come late."""
        for line in one.books.lend(self.now):
            self._say(line, surely=surely)
        if self.random.random() < 0.2:
            self.ledger += self.late
            self.late = []

    def _say(self, line: Line, *, surely: bool) -> None:
        how = 0.0 if surely else self.random.random()
        if how < 0.8:
            self.ledger.append(line)
        elif how < 0.95:
            self.late.append(line)

    def correct(self, share: float) -> None:
        """A worker ends a prompt: it used only this share of what it was charged."""
        lines = [line for line in self.ledger if isinstance(line, Entry)]
        ended = {entry.prompt for entry in lines if entry.kind == "correction"}
        charges = [e for e in lines if e.kind == "charge" and e.prompt not in ended]
        if charges:
            charge = self.random.choice(charges)
            less = (share - 1.0) * charge.tokens
            self.ledger.append(
                replace(charge, kind="correction", requests=0.0, tokens=less, usd=0.0, source=None)
            )

    def share_out(self) -> None:
        """A rebalance: what is open is committed in time or lost; then all read to the end."""
        for one in self.all:
            if self.random.random() < 0.5:
                self.commit(one)
            for entry in one.open:
                # Its prompt is read again by whoever gets the partition.
                assert entry.source is not None
                partition, offset = entry.source
                self.offsets[partition] = min(self.offsets[partition], offset)
            one.open = []
        owners = [self.random.choice(self.all) for _ in range(self.partitions)]
        for one in self.all:
            self.own(one, frozenset(p for p in range(self.partitions) if owners[p] is one))
        self.settle()

    def own(self, one: Classifier, partitions: frozenset[int]) -> None:
        """A classifier hears that these partitions are its own."""
        one.owned = partitions
        one.books.owns(partitions)
        self.ledger.append(one.books.claim)

    def settle(self) -> None:
        """Everyone reads to the end."""
        for one in self.all:
            self.hear(one, len(self.ledger))
            assert one.books.settled

    def tell_totals(self, one: Classifier) -> None:
        """It writes what it knows of the ledger."""
        for totals in one.books.totals(one.books.take_changed(), self.now):
            self.totals = totals

    def kill(self, one: Classifier) -> None:
        """It starts again, and there is a rebalance."""
        one.books = self.started()
        self.share_out()

    def started(self) -> TenantBooks:
        """The books of a new process, with the totals and the ledger from those on or before."""
        books = self._books()
        first = 0
        if self.totals is not None:
            books.restore(self.totals)
            # What may still count in a minute is read in any case.
            budgets = self.limits.minute == NO_BOUNDS
            first = self.random.randint(0, self.totals.offset) if budgets else 0
        books.position = first
        return books

    def live(self, steps: int, *, corrections: bool = True) -> Iterator[None]:
        """So many random steps, in a mixture that is random too: some hear or commit seldom."""
        draw = self.random

        def ask(one: Classifier) -> None:
            size = float(draw.randint(1, 400))
            for _ in range(draw.randint(1, 12)):
                self.ask(one, (1.0, size, 0.0))

        acts: list[Callable[[Classifier], object]] = [
            ask,
            self.commit,
            lambda one: self.hear(one, draw.randint(1, 60)),
            self.lend,
            self.tell_totals,
            lambda _: self.correct(draw.uniform(0.2, 1.0)) if corrections else None,
            lambda _: self.wait(draw.uniform(0.0, 10.0)),
        ]
        weights = [2.0, *(draw.uniform(0.05, 1.0) for _ in acts[1:])]
        favourite = draw.choice(self.all)
        skewed = draw.random() < 0.5
        for _ in range(steps):
            how = draw.random()
            if how < 0.004:
                self.kill(draw.choice(self.all))
            elif how < 0.015:
                self.share_out()
            else:
                (act,) = draw.choices(acts, weights)
                act(favourite if skewed and act is ask else draw.choice(self.all))
            yield

    def begun(self) -> list[Entry]:
        """Every charge that holds, committed or still on its way."""
        lines = [e for e in self.ledger if isinstance(e, Entry) and e.kind == "charge"]
        return [*lines, *(entry for one in self.all for entry in one.open)]

    def spent(self) -> float:
        """Tokens, by the ledger and what is on its way to it."""
        return sum(e.tokens for e in self.ledger if isinstance(e, Entry)) + sum(
            entry.tokens for one in self.all for entry in one.open
        )
