"""In which order what waits in a lane will start, as far as it can be said beforehand. Pure.

It is what `broker.core.fairness` would do if nothing more came, nobody had to wait for a model's
quota, and the tenants' clocks stood together now: an approximation of at most one prompt of each
other tenant, beside what comes later and is shorter.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from operator import itemgetter

from broker.core.ageing import key_of
from broker.core.fairness import T


def _equal(_tenant: str) -> float:
    return 1.0


def in_turn(items: Iterable[T], now: float, share_of: Callable[[str], float] = _equal) -> list[T]:
    """These items of one lane in the order in which they are expected to start."""
    keyed: defaultdict[str, list[tuple[float, int, T]]] = defaultdict(list)
    for number, item in enumerate(items):
        keyed[item.tenant].append((key_of(item, now), number, item))
    if len(keyed) == 1:  # most lanes have one tenant at most times
        (only,) = keyed.values()
        only.sort(key=itemgetter(0, 1))
        return [item for _, _, item in only]
    turns: list[tuple[float, int, T]] = []
    for tenant, own in keyed.items():
        own.sort(key=itemgetter(0, 1))
        share, clock = max(1e-3, share_of(tenant)), 0.0
        for _, number, item in own:
            turns.append((clock, number, item))
            clock += max(1, item.weight) / share
    turns.sort(key=itemgetter(0, 1))
    return [item for _, _, item in turns]
