"""What a classifier lends of its part of a tenant's budgets to those that need more. Pure.

Prompts do not fall on partitions alike: a producer without keys fills one partition, ids of a few
prompts may be uneven. So whoever has more left of a partition's part than all have on the average
gives the rest away, to partitions with less, its own and others'. What is given is counted as used
by the giver before anyone hears of it, so nothing is ever had twice.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from broker.core.tenant_account import TenantAccount
from broker.core.tenant_limits import NO_BOUNDS, Amounts, Period, TenantLimits

BUDGETS: Final[tuple[Period, ...]] = ("day", "month")
"""Those of minutes are lent otherwise: see `broker.core.minute_loans`."""
LEAST: Final = 0.05
"""Less than this share of its part of what is left nobody lends: it would not be worth a record."""


@dataclass(frozen=True, slots=True)
class Loan:
    """What partitions give of their parts of a limit, and, below zero, get."""

    period: Period
    moves: Mapping[int, Amounts]


def loans_of(
    account: TenantAccount,
    limits: TenantLimits,
    own: Collection[int],
    partitions: int,
    now: float,
) -> Iterator[Loan]:
    """What whoever has the partitions `own` of the prompts' should lend of one tenant's budgets."""
    for period in BUDGETS:
        if limits.of(period) == NO_BOUNDS:
            continue
        moves: dict[int, list[float]] = {}
        for number, bound in enumerate(limits.of(period)):
            if bound is not None:
                used = [account.used_through(p, period, now)[number] for p in range(partitions)]
                everyone = account.used(period, now)[1][number]
                for partition, amount in _moved(used, bound, everyone, own):
                    moves.setdefault(partition, [0.0, 0.0, 0.0])[number] = amount
        if moves:
            yield Loan(period, {p: (one[0], one[1], one[2]) for p, one in moves.items()})


def _moved(
    used: list[float], bound: float, everyone: float, own: Collection[int]
) -> Iterator[tuple[int, float]]:
    """What each partition gives or gets; `used` has what each has used or lent of its part."""
    average = everyone / len(used)
    if everyone >= bound:
        return
    spare = {partition: average - used[partition] for partition in own if used[partition] < average}
    needs = {number: amount - average for number, amount in enumerate(used) if amount > average}
    given = min(sum(spare.values()), sum(needs.values()))
    if given <= LEAST * (bound - everyone) * len(own) / len(used):
        return
    share = given / sum(spare.values())
    yield from ((partition, amount * share) for partition, amount in spare.items())
    share = given / sum(needs.values())
    yield from ((partition, -amount * share) for partition, amount in needs.items())
