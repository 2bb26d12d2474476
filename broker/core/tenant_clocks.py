"""The clocks of a lane's tenants, and of the lane itself: see `broker.core.fairness`."""

from collections import deque
from collections.abc import Callable
from typing import Final

from broker.core.turn_order import SLICE

_LEAST_WEIGHT: Final = 1
_LEAST_SHARE: Final = 0.001
_SLACK: Final = 1_000
"""Tenants kept beside twice as many as have something waiting: most come again soon."""
_LOOKED_AT: Final = 2


class Tenant:
    """`clock` is its turn, `waiting` how many items it has here.

    `terms` says of which shares its own is, `idle` that it is among those that may be forgotten.
    """

    __slots__ = ("clock", "idle", "name", "share", "terms", "waiting")

    def __init__(self, name: str, clock: float) -> None:
        self.name = name
        self.clock = clock
        self.share = 1.0
        self.terms = 0
        self.waiting = 0
        self.idle = False


class TenantClocks:
    """Who has something waiting, and whose turn stands where. Not thread-safe.

    `share_of` says a tenant's share, over 0; `forgotten` is told of each that is not kept.
    """

    def __init__(self, share_of: Callable[[str], float], forgotten: Callable[[str], None]) -> None:
        self._share_of = share_of
        self._forgotten = forgotten
        self._tenants: dict[str, Tenant] = {}
        self._idle: deque[Tenant] = deque()
        self._waiting = 0
        self._terms = 0
        self._shares = 0.0
        self._served = self._clock = 0.0

    def __len__(self) -> int:
        """Tenants that are known."""
        return len(self._tenants)

    def use(self, share_of: Callable[[str], float]) -> None:
        """Other shares, for each tenant from its next start on. Any thread may say so."""
        self._share_of = share_of
        self._terms += 1

    def tenant(self, name: str) -> Tenant:
        """The tenant of this name, which comes new if it is not known."""
        tenant = self._tenants.get(name)
        if tenant is None:
            tenant = self._tenants[name] = Tenant(name, self._clock)
        return tenant

    def joins(self, tenant: Tenant) -> None:
        """An item of this tenant comes."""
        if not tenant.waiting:
            tenant.clock = max(tenant.clock, self._clock)
            tenant.share = 0.0
            self._give_share(tenant)
            self._waiting += 1
        tenant.waiting += 1

    def leaves(self, name: str) -> None:
        """An item of this tenant goes without a start."""
        self._leaves(self._tenants[name])

    def served(self, tenant: Tenant, weight: int) -> None:
        """An item of this weight starts."""
        weight = max(weight, _LEAST_WEIGHT)
        if tenant.terms != self._terms:
            self._give_share(tenant)
        # Who had nothing but work of a model that had to wait gets nothing for that time either.
        # Inside a slice starts do not come in the order of the clocks: that far nobody is moved on.
        start = max(tenant.clock, self._served - SLICE)
        self._served = max(self._served, start)
        tenant.clock = end = start + weight / tenant.share
        passed = self._clock + weight / max(self._shares, tenant.share)
        self._clock = max(self._clock, start, min(passed, end))
        self._leaves(tenant)

    def _give_share(self, tenant: Tenant) -> None:
        """Its share as it is now, instead of what it had."""
        tenant.terms = self._terms
        before, tenant.share = tenant.share, max(_LEAST_SHARE, self._share_of(tenant.name))
        self._shares += tenant.share - before

    def _leaves(self, tenant: Tenant) -> None:
        tenant.waiting -= 1
        if tenant.waiting:
            return
        self._waiting -= 1
        self._shares = self._shares - tenant.share if self._waiting else 0.0
        if not tenant.idle:
            tenant.idle = True
            self._idle.append(tenant)
        if len(self._idle) > 2 * self._waiting + _SLACK:
            self._forget()

    def _forget(self) -> None:
        """Let go of tenants whose clock says no more than that of one who comes new."""
        idle = self._idle
        for _ in range(min(_LOOKED_AT, len(idle))):
            tenant = idle.popleft()
            if tenant.waiting:
                tenant.idle = False
            elif tenant.clock <= self._clock:
                del self._tenants[tenant.name]
                self._forgotten(tenant.name)
            else:
                idle.append(tenant)
