"""The loans between classifiers, as one of them reads and makes them. Pure: no I/O, no clock.

A loan counts as given from the moment it is made, and as got once it is read. It is void, for every
reader alike, when another has claimed a partition that gives before it, or when it comes after a
later one of the same classifier, which by then has counted it as lost.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from broker.classifier.tenant_sums import Counted, side
from broker.core.minute_loans import Owners, answered, returned, wanted
from broker.core.tenant_account import TenantAccount
from broker.core.tenant_limits import NO_BOUNDS, PERIODS, Amounts, Period, TenantLimits
from broker.core.tenant_loans import loans_of
from broker.records.tenant_parts import Lent, Owner, Wanted

FRESH_S: Final = 3.0
"""Nobody still wants what was wanted so long ago: who does says it anew."""


class Lending:
    """Not thread-safe. `partitions` are those of the prompts."""

    def __init__(self, partitions: int, account_of: Callable[[str], TenantAccount]) -> None:
        self._of = partitions
        self._account = account_of
        self._owners: dict[int, str] = {}
        self._made: dict[tuple[str, int], Lent] = {}
        self._read: dict[str, int] = {}
        self._number = 0
        self._wants: dict[str, dict[str, Wanted]] = {}
        self._new: set[str] = set()
        self._groups: dict[str, frozenset[int]] | None = None

    def claimed(self, line: Owner) -> None:
        """Someone says which partitions are its own."""
        self._owners |= dict.fromkeys(line.partitions, line.by)
        names = set(self._owners.values())
        self._read = {by: number for by, number in self._read.items() if by in names}
        self._groups = None

    def settled(self, name: str) -> None:
        """All is read that came before our partitions were ours; what is not there never comes."""
        self._forget(lambda key: key[0] != name)
        self._wants.clear()
        self._new.clear()

    def wants(self, line: Wanted) -> None:
        """Someone wants to be lent something."""
        self._wants.setdefault(line.tenant, {})[line.by] = line
        self._new.add(line.tenant)

    @property
    def asked(self) -> set[str]:
        """The tenants for whom someone wants something."""
        return set(self._wants)

    def newly_asked(self, most: int) -> list[str]:
        """Some of those for whom someone has wanted something since this was last asked."""
        return [self._new.pop() for _ in range(min(most, len(self._new)))]

    def drop(self, tenant: str) -> None:
        """The tenant has no limits any more."""
        self._wants.pop(tenant, None)

    def read(self, line: Lent, *, covered: bool) -> None:
        """Both sides of a loan, unless it is void or in the totals already."""
        counted = self._made.pop((line.by, line.number), None) is not None
        if counted:
            # A producer's lines keep their order: what was to come before this one never will.
            self._forget(lambda key: key[0] == line.by and key[1] < line.number)
        given = (partition for partition, amounts in line.moves.items() if max(amounts) > 0)
        void = any(self._owners.get(partition, line.by) != line.by for partition in given)
        late = line.number <= self._read.get(line.by, 0)
        self._read[line.by] = max(line.number, self._read.get(line.by, 0))
        if void or late or covered:
            if counted:
                self._apply(line, giving=True, factor=-1.0)
            if covered and not void and not late:
                self._put_off(line)
            return
        self._put_off(line)
        if not counted:
            self._apply(line, giving=True)
        self._apply(line, giving=False)

    def of(
        self, tenant: str, limits: TenantLimits, mine: str, own: frozenset[int], now: float
    ) -> Iterator[Lent | Wanted]:
        """What to lend now of one tenant's limits, and to want; what is lent counts as given.

        `mine` is the name under which we have the partitions `own`.
        """
        account = self._account(tenant)
        for loan in list(loans_of(account, limits, own, self._of, now)):
            yield self._lend(tenant, loan.period, mine, loan.moves, now)
        if limits.minute == NO_BOUNDS:
            return
        yield from self.answer(tenant, limits, mine, now)
        if tenant not in self._wants and not account.busy and account.minute.lent:
            moves = returned(account.minute, own, now)
            if moves:
                yield self._lend(tenant, "minute", mine, moves, now)
        unmet, account.unmet = account.unmet, [0.0, 0.0, 0.0]
        busy, account.busy = account.busy, False
        if busy or any(unmet):
            amounts = wanted(account.minute, limits.minute, len(own) / self._of, own, unmet)
            if amounts is not None:
                yield Wanted(tenant, now, mine, min(own), amounts)

    def answer(self, tenant: str, limits: TenantLimits, mine: str, now: float) -> Iterator[Lent]:
        """What to lend now to those that want some of one tenant's limits of a minute."""
        account = self._account(tenant)
        asked = self._wants.pop(tenant, {}).values()
        wants = [one for one in asked if abs(now - one.at) <= FRESH_S and max(one.amounts) > 0]
        if not wants:
            return
        given, left = answered(account.minute, limits.minute, self._all(mine), wants, now)
        self._wants[tenant] = {one.by: one for one in left}
        for at, moves in sorted(given.items()):
            yield self._lend(tenant, "minute", mine, moves, at)

    def borrows(self, tenant: str, own: frozenset[int]) -> bool:
        """Whether these partitions have more of a tenant's limits of a minute than their parts."""
        lent = self._account(tenant).minute.lent
        return any(min(lent[partition]) < 0 for partition in own & lent.keys())

    def unmet(self) -> Iterator[tuple[str, Counted]]:
        """What is counted as given by loans that were not read yet, with its tenant."""
        for line in self._made.values():
            for partition, moved in line.moves.items():
                amounts = side(moved, giving=True)
                yield line.tenant, Counted(_PERIODS[line.period], partition, line.at, amounts)

    def _lend(
        self, tenant: str, period: Period, mine: str, moves: Mapping[int, Amounts], at: float
    ) -> Lent:
        self._number += 1
        line = Lent(tenant, period, at, mine, self._number, moves)
        self._made[mine, line.number] = line
        self._apply(line, giving=True)
        return line

    def _all(self, mine: str) -> Owners:
        if self._groups is None:
            groups: dict[str, set[int]] = {}
            for partition, name in self._owners.items():
                groups.setdefault(name, set()).add(partition)
            self._groups = {name: frozenset(one) for name, one in groups.items()}
        return Owners(mine, self._groups, self._of)

    def _apply(self, line: Lent, *, giving: bool, factor: float = 1.0) -> None:
        """One side of a loan. A partition may give of one thing and get of another."""
        account = self._account(line.tenant)
        period = _PERIODS[line.period]
        for partition, moved in line.moves.items():
            amounts = side(moved, giving=giving, factor=factor)
            if any(amounts):
                account.note_lent(period, partition, line.at, amounts)

    def _put_off(self, line: Lent) -> None:
        """What is borrowed for later is not there yet."""
        if line.period == "minute":
            account = self._account(line.tenant)
            for partition, moved in line.moves.items():
                requests, tokens, usd = side(moved, giving=False, factor=-1.0)
                if requests or tokens or usd:
                    account.minute.note_coming(partition, line.at, (requests, tokens, usd))

    def _forget(self, lost: Callable[[tuple[str, int]], bool]) -> None:
        """Take off what was to be lent by lines that were never written."""
        for key in [key for key in self._made if lost(key)]:
            self._apply(self._made.pop(key), giving=True, factor=-1.0)


_PERIODS: Final[dict[str, Period]] = {period: period for period in PERIODS}
