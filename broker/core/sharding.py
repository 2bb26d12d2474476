"""Which of a lane's partitions a tenant's prompts may use, so that a noisy one cannot block all.

A worker reads a partition in its order and holds a bounded part of it: behind thousands of one
tenant's prompts nobody else's is even seen. So while a lane is crowded, a tenant that sends far
more into it than the others is kept apart: it has a range of the partitions of its own (shuffle
sharding: which one follows from its name, so every classifier finds the same), and the others have
those at the end of the lane, where it never goes. While nobody is in the way of anybody, all use
all: each further partition in a transaction costs the broker.

The price is that while it lasts, whoever works on the last partitions alone has less to do.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Final
from zlib import crc32

from broker.core.lanes import LANES, Lane

_KEPT: Final = 128
"""Tenants counted in each lane; what is counted beyond that is taken over from the least (the space
saving algorithm of Metwally and others, 2005), so a share is too high by less than 1 in 128."""
_RESERVED: Final = 1 / 6
"""Share of a lane's partitions, at least one, that the noisy leave to the others."""
_DIVISIBLE: Final = 2
_REBASE_AT: Final = 40.0
"""Half-lives after which the counters are written anew, long before they grow out of a float."""


@dataclass(frozen=True, slots=True)
class ShardRules:
    """When a tenant is kept apart. Times are seconds."""

    half_life_s: float = 30.0
    crowded_wait_s: float = 0.5
    """Expected wait at which a lane counts as crowded."""
    crowded_for_s: float = 10.0
    """So long after it was seen crowded last."""
    least_share: float = 0.25
    """Of a lane's weight; nobody with less is noisy."""
    times_others: float = 4.0
    """And it sends so many times the mean of the others."""
    look_every_s: float = 1.0
    look_after: int = 32
    """In a crowded lane that has nobody kept apart, also after so many prompts: of a burst at a
    classifier's full speed thousands would stand before everyone else's within a second."""


@dataclass(slots=True)
class _LaneLoad:
    """Decayed weight by tenant, in units that grow by half-lives since `based_at`."""

    based_at: float
    by_tenant: dict[str, float] = field(default_factory=dict)
    total: float = 0.0
    crowded_at: float | None = None
    looked_at: float | None = None
    since: int = 0
    noisy: Mapping[str, float] = field(default_factory=dict)


class TenantShards:
    """What one classifier has sent lately, by lane and tenant. Not thread-safe."""

    def __init__(self, now: float, rules: ShardRules | None = None) -> None:
        self._rules = rules or ShardRules()
        self._lanes = {lane: _LaneLoad(now) for lane in LANES}

    def sent(self, lane: Lane, tenant: str, weight: int, wait_s: float, now: float) -> None:
        """A prompt of this weight goes into the lane, where it is expected to wait so long."""
        load, rules = self._lanes[lane], self._rules
        if wait_s >= rules.crowded_wait_s:
            load.since += 1
            at, load.crowded_at = load.crowded_at, now
            turned = at is None or now - at > rules.crowded_for_s
            if turned or (load.since >= rules.look_after and not load.noisy):
                load.looked_at = None
        elapsed = (now - load.based_at) / rules.half_life_s
        if elapsed > _REBASE_AT:
            _rebase(load, now, 2.0**-elapsed)
            elapsed = 0.0
        scaled = weight * 2.0 ** max(0.0, elapsed)
        load.total += scaled
        counted = load.by_tenant
        before = counted.get(tenant)
        if before is None:
            before = 0.0
            if len(counted) >= _KEPT:
                least = min(counted, key=counted.__getitem__)
                before = counted.pop(least)
        counted[tenant] = before + scaled

    def noisy(self, lane: Lane, now: float) -> Mapping[str, float]:
        """Who is kept apart now, with its share of the lane's weight; looked at now and then."""
        load, rules = self._lanes[lane], self._rules
        if load.looked_at is None or not 0 <= now - load.looked_at < rules.look_every_s:
            load.looked_at, load.since = now, 0
            crowded = load.crowded_at is not None and now - load.crowded_at <= rules.crowded_for_s
            load.noisy = _noisy(load, rules) if crowded else {}
        return load.noisy

    def share(self, lane: Lane, tenant: str, now: float) -> float | None:
        """The tenant's share of the lane's weight while it is kept apart, else None."""
        return self.noisy(lane, now).get(tenant)

    def within(self, lane: Lane, tenant: str, own: range, now: float) -> range:
        """The partitions of `own`, a lane's, that a prompt of this tenant may go to."""
        noisy = self.noisy(lane, now)
        if not noisy or len(own) < _DIVISIBLE:
            return own
        share = noisy.get(tenant)
        if share is None:
            return range(_first_reserved(own), own.stop)
        return apart(tenant, own, share)


def apart(tenant: str, own: range, share: float) -> range:
    """The partitions of a lane for a tenant with this share of its work: at least one.

    Never the reserved ones, unless the lane has only one partition.
    """
    if len(own) < _DIVISIBLE:
        return own
    size = _first_reserved(own) - own.start
    count = min(size, max(1, ceil(share * size)))
    first = own.start + crc32(tenant.encode("utf-8", "surrogatepass")) % (size - count + 1)
    return range(first, first + count)


def _first_reserved(own: range) -> int:
    return own.stop - max(1, round(len(own) * _RESERVED))


def _noisy(load: _LaneLoad, rules: ShardRules) -> Mapping[str, float]:
    faintest = load.total / 1e6
    active = sum(1 for weight in load.by_tenant.values() if weight > faintest)
    if active <= 1:  # alone it is in nobody's way
        return {}
    found = {}
    for tenant, weight in load.by_tenant.items():
        others = (load.total - weight) / (active - 1)
        if weight >= rules.least_share * load.total and weight >= rules.times_others * others:
            found[tenant] = weight / load.total
    return found


def _rebase(load: _LaneLoad, now: float, factor: float) -> None:
    load.based_at = now
    load.total *= factor
    load.by_tenant = {
        tenant: weight * factor
        for tenant, weight in load.by_tenant.items()
        if weight * factor > load.total / 1e6
    }
