"""A tenant's sums as the totals carry them: out of its account, and back into one. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from broker.core.tenant_account import TenantAccount
from broker.core.tenant_bucket import Bucket
from broker.core.tenant_limits import (
    Amounts,
    Period,
    day_named,
    day_of,
    month_named,
    month_of,
    name_of_day,
    name_of_month,
)
from broker.records.tenants import Totals

Sums = dict[str, dict[int, Amounts]]
"""By the name of the day or month, and by partition."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What an account counts already, and the ledger has not."""

    period: Period
    partition: int
    at: float
    amounts: Amounts


def sums_without(
    account: TenantAccount, unmet: Iterable[Counted]
) -> tuple[Sums, Sums, dict[int, Amounts]]:
    """The sums of days, of months, and what is lent of minutes, without what the ledger has not."""
    lent = {"": _rounded(account.minute.lent)}
    days = {name_of_day(number): _rounded(one.by) for number, one in account.days.items()}
    months = {name_of_month(number): _rounded(one.by) for number, one in account.months.items()}
    for one in unmet:
        if one.period == "day":
            _take_off(days, name_of_day(day_of(one.at)), one)
        elif one.period == "month":
            _take_off(months, name_of_month(month_of(one.at)), one)
        else:
            _take_off(lent, "", one)
    return days, months, lent[""]


def restore(account: TenantAccount, totals: Totals, owned: frozenset[int]) -> None:
    """Add a tenant's sums to its account; `owned` are the partitions of this classifier."""
    for name, by in totals.days.items():
        bucket = account.days.setdefault(day_named(name), Bucket())
        for partition, amounts in by.items():
            bucket.note(partition, amounts, own=partition in owned)
    for name, by in totals.months.items():
        bucket = account.months.setdefault(month_named(name), Bucket())
        for partition, amounts in by.items():
            bucket.note(partition, amounts, own=partition in owned)
    for partition, amounts in totals.lent.items():
        account.minute.note_lent(partition, amounts)


def side(moved: Amounts, *, giving: bool, factor: float = 1.0) -> Amounts:
    """What of a loan's amounts is given, or what is got, the other ones being 0."""
    requests, tokens, usd = (factor * amount if (amount > 0) == giving else 0.0 for amount in moved)
    return requests, tokens, usd


def _rounded(by: Mapping[int, Sequence[float]]) -> dict[int, Amounts]:
    return {
        partition: (round(requests, 6), round(tokens, 6), round(usd, 9))
        for partition, (requests, tokens, usd) in by.items()
    }


def _take_off(sums: Sums, name: str, less: Counted) -> None:
    by = sums.get(name)
    if by is not None:
        requests, tokens, usd = by.get(less.partition, (0.0, 0.0, 0.0))
        by[less.partition] = (
            round(requests - less.amounts[0], 6),
            round(tokens - less.amounts[1], 6),
            round(usd - less.amounts[2], 9),
        )
