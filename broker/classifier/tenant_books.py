"""Every limited tenant's account in one classifier. Pure: no I/O, no clock.

That is the ledger as far as it was read, and what this process has let in since. A charge is
counted at once and waits, under its record's place, to be met in the ledger, where it then counts
no more. What is never met was rolled back.

After a rebalance a classifier writes into the ledger which partitions are its own. Once it reads
that line itself it has read everything that could come of those partitions before: transactions
that were open are decided, and what another may still lend of them is void for every reader.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final
from uuid import uuid4

from broker.classifier.tenant_lending import Lending
from broker.classifier.tenant_sums import Counted, restore, sums_without
from broker.core.tenant_account import TenantAccount
from broker.core.tenant_limits import (
    NO_BOUNDS,
    Amounts,
    Refused,
    TenantLimits,
    TenantTerms,
)
from broker.records.tenant_parts import Lent, Owner, Wanted
from broker.records.tenants import Line, Totals

_AT_ONCE: Final = 500
"""Tenants that are looked at in one turn, so that no prompt waits for it."""
Place = tuple[int, int]
"""Partition and offset of a prompt."""
Charge = tuple[str, int, float, Amounts]
"""Of whom, to which partition's part, for when, and how much."""


class TenantBooks:
    """The accounts. Not thread-safe: of the event loop. `partitions` are those of the prompts."""

    def __init__(self, partitions: int, terms: TenantTerms) -> None:
        self.terms = terms
        self.position = 0
        """The next line of the ledger to be read."""
        self.changed: set[str] = set()
        """Tenants whose lines were read since the set was emptied."""
        self._of = partitions
        self._owned: frozenset[int] = frozenset()
        self._accounts: dict[str, TenantAccount] = {}
        self._covered: dict[str, int] = {}
        self._pending: dict[Place, Charge] = {}
        self._doubtful: set[Place] = set()
        self._name, self._assignments = uuid4().hex[:12], 0
        self._lending = Lending(partitions, self._account)
        self._active: set[str] = set()
        self._to_sweep: list[str] = []
        self.settled = False
        """Whether the ledger is read up to our own line of the present assignment."""

    @property
    def share(self) -> float:
        """The share of the prompts' partitions that is this classifier's."""
        return len(self._owned) / self._of

    @property
    def pending(self) -> int:
        """Charges that were not met in the ledger yet."""
        return len(self._pending)

    def owns(self, partitions: frozenset[int]) -> None:
        """An assignment: these partitions are ours; what is pending may have been rolled back."""
        self._owned = partitions
        self._doubtful = set(self._pending)
        self._assignments += 1
        self.settled = False

    @property
    def claim(self) -> Owner:
        """The line that says which partitions are ours; no other assignment has the same name."""
        name = f"{self._name}-{self._assignments}"
        return Owner(name, tuple(sorted(self._owned)))

    def admit(
        self, tenant: str, limits: TenantLimits, amounts: Amounts, now: float, latest: float
    ) -> tuple[float, int] | Refused:
        """When a prompt may begin, by `latest`, and to which partition's part it is charged.

        Or why it may not; nothing is counted yet.
        """
        account = self._account(tenant)
        found = account.admit(amounts, limits, self.share, now, latest)
        if isinstance(found, Refused):
            self._active.add(tenant)  # others may lend it something
            return found
        return found, account.roomiest(limits, self._of, found)

    def nears_end(self, tenant: str, limits: TenantLimits, now: float) -> bool:
        """Whether little is left of a budget that lengths of answers count for."""
        account = self._accounts.get(tenant)
        return account is not None and account.nears_end(limits, now)

    def charge(
        self, place: Place, tenant: str, partition: int, at: float, amounts: Amounts
    ) -> None:
        """A prompt was let in, to begin at `at`."""
        self._undo(place)  # decided again, before it was known that the first time came to nothing
        self._doubtful.discard(place)
        self._pending[place] = (tenant, partition, at, amounts)
        self._active.add(tenant)
        self._note(tenant, partition, at, amounts)

    def restore(self, totals: Totals) -> None:
        """Take in a tenant's sums, before any line of the ledger."""
        account = self._account(totals.tenant)
        self._covered[totals.tenant] = totals.offset
        self.position = max(self.position, totals.offset)
        restore(account, totals, self._owned)

    def read(self, offset: int, line: Line) -> None:
        """A line of the ledger."""
        self.position = offset + 1
        if isinstance(line, Owner):
            self._lending.claimed(line)
            if not self.settled and line.by == self.claim.by:
                self._settle()
            return
        if isinstance(line, Wanted):
            self._lending.wants(line)
            return
        self.changed.add(line.tenant)
        self._active.add(line.tenant)
        covered = offset < self._covered.get(line.tenant, 0)
        if isinstance(line, Lent):
            self._lending.read(line, covered=covered)
            return
        if line.source is not None:
            self._doubtful.discard(line.source)
            if covered:
                self._undo(line.source)
            elif self._pending.pop(line.source, None) is not None:
                return
        amounts = (line.requests, line.tokens, line.usd)
        self._note(line.tenant, line.partition, line.at, amounts, covered=covered)

    def lend(self, now: float) -> Iterator[Lent | Wanted]:
        """What to lend now, and to want, to be written; here it counts as given already."""
        if not self._lends:
            self._active.clear()
            return
        self._active |= self._lending.asked
        for tenant in [self._active.pop() for _ in range(min(_AT_ONCE, len(self._active)))]:
            limits = self.terms.limits_of(tenant)
            if limits is None:
                self._lending.drop(tenant)
                continue
            yield from self._lending.of(tenant, limits, self.claim.by, self._owned, now)
            if self._lending.borrows(tenant, self._owned):
                self._active.add(tenant)

    def answer(self, now: float) -> Iterator[Lent]:
        """What to lend at once to those that have said that they want some."""
        for tenant in self._lending.newly_asked(_AT_ONCE // 10) if self._lends else ():
            limits = self.terms.limits_of(tenant)
            if limits is not None:
                yield from self._lending.answer(tenant, limits, self.claim.by, now)

    @property
    def _lends(self) -> bool:
        return self.settled and len(self._owned) not in (0, self._of)

    def _settle(self) -> None:
        self.settled = True
        for place in self._doubtful:
            self._undo(place)
        self._doubtful = set()
        self._lending.settled(self.claim.by)

    def take_changed(self) -> list[str]:
        """The tenants whose lines were read since the last time."""
        changed, self.changed = self.changed, set()
        return list(changed)

    def totals(self, tenants: Iterable[str], at: float) -> Iterator[Totals]:
        """The sums of some tenants, as the ledger has them, which count as told then."""
        unmet: defaultdict[str, list[Counted]] = defaultdict(list)
        for tenant, partition, when, amounts in self._pending.values():
            unmet[tenant] += (
                Counted("day", partition, when, amounts),
                Counted("month", partition, when, amounts),
            )
        for tenant, counted in self._lending.unmet():
            unmet[tenant].append(counted)
        for tenant in tenants:
            account = self._accounts.get(tenant)
            if account is not None:
                days, months, lent = sums_without(account, unmet.get(tenant, ()))
                yield Totals(tenant, self.position, at, days, months, lent)

    def sweep(self, now: float) -> None:
        """Let go of what no limit can ask for any more; some accounts each time."""
        if not self._to_sweep:
            self._to_sweep = list(self._accounts)
        for tenant in self._to_sweep[-_AT_ONCE:]:
            account = self._accounts.get(tenant)
            if account is None:
                continue
            account.sweep(now)
            if not account.days and not account.months and account.minute.is_empty:
                del self._accounts[tenant]
                self._covered.pop(tenant, None)
        del self._to_sweep[-_AT_ONCE:]

    def _account(self, tenant: str) -> TenantAccount:
        account = self._accounts.get(tenant)
        if account is None:
            account = self._accounts[tenant] = TenantAccount(self._owned)
        else:
            account.owns(self._owned)
        return account

    def _note(
        self, tenant: str, partition: int, at: float, amounts: Amounts, *, covered: bool = False
    ) -> None:
        account = self._account(tenant)
        if not covered:
            account.note(partition, at, amounts)
        limits = self.terms.limits_of(tenant)
        if limits is not None and limits.minute != NO_BOUNDS:
            account.note_minute(partition, at, amounts)

    def _undo(self, place: Place) -> None:
        found = self._pending.pop(place, None)
        if found is not None:
            tenant, partition, at, (requests, tokens, usd) = found
            self._note(tenant, partition, at, (-requests, -tokens, -usd))
