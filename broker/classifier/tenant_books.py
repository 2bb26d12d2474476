"""Every limited tenant's account in one classifier. Pure: no I/O, no clock.

That is the ledger as far as it was read, and what this process has let in since. A charge is
counted at once and waits, under its record's place, to be met in the ledger, where it then counts
no more. What is never met was rolled back: after a rebalance, when the ledger has been read to
where it ended then, it is taken off again.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping

from broker.core.minute_window import Sums
from broker.core.tenant_account import Bucket, TenantAccount
from broker.core.tenant_limits import (
    NO_BOUNDS,
    Amounts,
    Refused,
    TenantLimits,
    TenantTerms,
    day_named,
    month_named,
    name_of_day,
    name_of_month,
)
from broker.records.tenants import Entry, Totals

Place = tuple[int, int]
"""Partition and offset of a prompt."""


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
        self._pending: dict[Place, tuple[str, float, Amounts]] = {}
        self._doubtful: set[Place] = set()

    @property
    def share(self) -> float:
        """The share of the prompts' partitions that is this classifier's."""
        return len(self._owned) / self._of

    @property
    def pending(self) -> int:
        """Charges that were not met in the ledger yet."""
        return len(self._pending)

    @property
    def tenants(self) -> int:
        """Tenants that have an account."""
        return len(self._accounts)

    def owns(self, partitions: frozenset[int]) -> None:
        """An assignment: these partitions are ours; what is pending may have been rolled back."""
        self._owned = partitions
        self._doubtful = set(self._pending)

    def read_all(self) -> None:
        """The ledger was read to where it ended at the assignment."""
        for place in self._doubtful:
            self._undo(place)
        self._doubtful = set()

    def admit(
        self, tenant: str, limits: TenantLimits, amounts: Amounts, now: float, latest: float
    ) -> float | Refused:
        """When a prompt may begin, by `latest`, or why it may not; nothing is counted yet."""
        return self._account(tenant).admit(amounts, limits, self.share, now, latest)

    def charge(self, place: Place, tenant: str, at: float, amounts: Amounts) -> None:
        """A prompt was let in, to begin at `at`."""
        self._undo(place)  # decided again, before it was known that the first time came to nothing
        self._doubtful.discard(place)
        self._pending[place] = (tenant, at, amounts)
        self._note(tenant, place[0], at, amounts)

    def restore(self, totals: Totals) -> None:
        """Take in a tenant's sums, before any line of the ledger."""
        account = self._account(totals.tenant)
        self._covered[totals.tenant] = totals.offset
        self.position = max(self.position, totals.offset)
        for name, by in totals.days.items():
            _fill(account.days.setdefault(day_named(name), Bucket()), by, self._owned)
        for name, by in totals.months.items():
            _fill(account.months.setdefault(month_named(name), Bucket()), by, self._owned)

    def read(self, offset: int, entry: Entry) -> None:
        """A line of the ledger."""
        self.position = offset + 1
        self.changed.add(entry.tenant)
        covered = offset < self._covered.get(entry.tenant, 0)
        if entry.kind == "charge":
            place = (entry.partition, entry.source)
            self._doubtful.discard(place)
            if covered:
                self._undo(place)
            elif self._pending.pop(place, None) is not None:
                return
        amounts = (entry.requests, entry.tokens, entry.usd)
        self._note(entry.tenant, entry.partition, entry.at, amounts, covered=covered)

    def totals(self, at: float) -> Iterator[Totals]:
        """The sums of the changed tenants, as the ledger has them, which count as told then."""
        unmet: defaultdict[str, list[tuple[int, float, Amounts]]] = defaultdict(list)
        for (partition, _), (tenant, when, amounts) in self._pending.items():
            unmet[tenant].append((partition, when, amounts))
        for tenant in self.changed:
            account = self._accounts.get(tenant)
            if account is None:
                continue
            days = {name_of_day(n): _copied(one) for n, one in account.days.items()}
            months = {name_of_month(n): _copied(one) for n, one in account.months.items()}
            for partition, when, (requests, tokens, usd) in unmet.get(tenant, ()):
                less = (-requests, -tokens, -usd)
                _add(days[name_of_day(int(when // 86_400))], partition, less)
                _add(months[_month_name(when)], partition, less)
            yield Totals(tenant, self.position, at, days, months)
        self.changed = set()

    def sweep(self, now: float) -> None:
        """Let go of what no limit can ask for any more."""
        for tenant, account in list(self._accounts.items()):
            account.sweep(now)
            if not account.days and not account.months and account.minute.is_empty:
                del self._accounts[tenant]
                self._covered.pop(tenant, None)

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
            tenant, at, (requests, tokens, usd) = found
            self._note(tenant, place[0], at, (-requests, -tokens, -usd))


def _month_name(at: float) -> str:
    return name_of_day(int(at // 86_400))[:7]


def _fill(bucket: Bucket, by: Mapping[int, Amounts], owned: frozenset[int]) -> None:
    for partition, amounts in by.items():
        bucket.note(partition, amounts, own=partition in owned)


def _copied(bucket: Bucket) -> dict[int, Amounts]:
    return {partition: _amounts(sums) for partition, sums in bucket.by.items()}


def _amounts(sums: Sums) -> Amounts:
    requests, tokens, usd = sums
    return round(requests), round(tokens), round(usd, 9)


def _add(by: dict[int, Amounts], partition: int, more: Amounts) -> None:
    requests, tokens, usd = by.get(partition, (0.0, 0.0, 0.0))
    by[partition] = (requests + more[0], tokens + more[1], round(usd + more[2], 9))
