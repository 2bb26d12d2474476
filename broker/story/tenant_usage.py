"""What tenants have used of their limits, from the ledger and its totals alone."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from broker.core.tenant_account import TenantAccount
from broker.core.tenant_bucket import Bucket
from broker.core.tenant_limits import (
    DIMENSIONS,
    MINUTE_S,
    PERIODS,
    Amounts,
    Period,
    TenantTerms,
    day_ends,
    day_named,
    day_of,
    month_ends,
    month_named,
    month_of,
)
from broker.records.tenants import Entry, Totals
from broker.records.times import to_rfc3339
from broker.settings import Settings
from broker.story.log_reader import Progress
from broker.story.tenant_lines import Read, tenant_lines

_NOTHING: Final[Amounts] = (0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Use:
    """One limit of a tenant, and what is used of it; `ends_at` is when that counts no more."""

    tenant: str
    period: Period
    dimension: str
    used: float
    limit: float | None
    ends_at: float

    @property
    def left(self) -> float | None:
        """What is left of the limit; below zero where answers used more than was expected."""
        return None if self.limit is None else self.limit - self.used

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        left = self.left
        return {
            "used": _rounded(self.used),
            "limit": self.limit,
            "left": None if left is None else _rounded(left),
            "ends_at": to_rfc3339(self.ends_at),
        }


class TenantUsage:
    """Accounts of everyone who was ever charged, read in one go."""

    def __init__(self, terms: TenantTerms, now: float) -> None:
        self._terms = terms
        self._now = now
        self._accounts: dict[str, TenantAccount] = {}
        self._covered: dict[str, int] = {}
        self.unreadable = 0
        """Records that are not in our form."""

    def take(self, one: Read | None) -> None:
        """What was read of the ledger, in order."""
        if one is None:
            self.unreadable += 1
        elif isinstance(one, Totals):
            self.restore(one)
        elif isinstance(one[1], Entry):
            self.read(one[0], one[1])

    def restore(self, totals: Totals) -> None:
        """A tenant's sums, before any line."""
        account = self._account(totals.tenant)
        account.days = {day_named(name): _bucket(by) for name, by in totals.days.items()}
        account.months = {month_named(name): _bucket(by) for name, by in totals.months.items()}
        self._covered[totals.tenant] = totals.offset

    def read(self, offset: int, entry: Entry) -> None:
        """A line of the ledger."""
        account = self._account(entry.tenant)
        amounts = (entry.requests, entry.tokens, entry.usd)
        if offset >= self._covered.get(entry.tenant, 0):
            account.note(entry.partition, entry.at, amounts)
        if entry.at > self._now - MINUTE_S:
            account.note_minute(entry.partition, entry.at, amounts)

    def uses(self, tenant: str | None = None) -> Iterator[Use]:
        """Every limit of those who have one or were charged, or all of one tenant's."""
        named = {name for name, limits in self._terms.limits.items() if limits is not None}
        for name in sorted(named | set(self._accounts)) if tenant is None else [tenant]:
            yield from self._uses_of(name)

    def _uses_of(self, tenant: str) -> Iterator[Use]:
        now, limits = self._now, self._terms.limits_of(tenant)
        account = self._accounts.get(tenant) or TenantAccount(frozenset())
        account.minute.forget(now)
        day, month = account.days.get(day_of(now)), account.months.get(month_of(now))
        used: dict[Period, Amounts] = {
            "minute": _amounts(account.minute.everyone),
            "day": _NOTHING if day is None else _amounts(day.everyone),
            "month": _NOTHING if month is None else _amounts(month.everyone),
        }
        ends: dict[Period, float] = {
            "minute": now + MINUTE_S,
            "day": day_ends(now),
            "month": month_ends(now),
        }
        for period in PERIODS:
            bounds = (None, None, None) if limits is None else limits.of(period)
            for number, dimension in enumerate(DIMENSIONS):
                bound, amount = bounds[number], used[period][number]
                if bound is not None or period != "minute":
                    yield Use(tenant, period, dimension, amount, bound, ends[period])

    def _account(self, tenant: str) -> TenantAccount:
        return self._accounts.setdefault(tenant, TenantAccount(frozenset()))


def read_usage(settings: Settings, progress: Progress | None = None) -> TenantUsage:
    """Read both topics, as far as they are committed; raises NotReadyError."""
    usage = TenantUsage(settings.tenant_terms(), time.time())
    for one in tenant_lines(settings, progress):
        usage.take(one)
    return usage


def _bucket(by: Any) -> Bucket:
    bucket = Bucket()
    for partition, amounts in by.items():
        bucket.note(partition, amounts, own=False)
    return bucket


def _amounts(sums: list[float]) -> Amounts:
    requests, tokens, usd = sums
    return requests, tokens, usd


def _rounded(amount: float) -> float:
    return round(amount, 6)
