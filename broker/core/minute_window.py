"""What a tenant has begun in the last minute, and when its next prompt may begin. Pure.

In no 60 seconds may more begin than the limit says. A bucket that fills at a rate could not promise
that, or would have to space prompts evenly that the limit allows at once; so the starts themselves
are kept, in slices, by the partition of `<prefix>.prompts` that they came through. A classifier has
the share of the limit that its partitions are of all, and sees what the others have begun.
"""

from bisect import insort
from typing import Final

from broker.core.tenant_limits import MINUTE_S, Amounts, Bounds

SLACK: Final = 0.02
"""A classifier may pass its own share by so much of it while the whole limit is not reached: that
bounds what all together may be over, however late they hear of each other."""
SLICE_S: Final = 0.25
_ROUNDING: Final = 1e-9

Sums = list[float]


def blocked(
    own: Sums, everyone: Sums, amounts: Amounts, bounds: Bounds, share: float
) -> int | None:
    """The first dimension in which so much more does not fit; None when all of it fits.

    `own` was used through the partitions of this classifier, `everyone` through all of them. What
    is larger than the whole share fits when nothing of the share is used, if there is room in all.
    """
    for number, bound in enumerate(bounds):
        if bound is None:
            continue
        cost = amounts[number]
        if everyone[number] + cost > bound * (1.0 + _ROUNDING):
            return number
        part = bound * share
        fits = own[number] + cost <= part * (1.0 + SLACK) + _ROUNDING
        if not fits and (cost <= part or own[number] > _ROUNDING):
            return number
    return None


def add(to: Sums, amounts: Amounts) -> None:
    """Add in place."""
    to[0] += amounts[0]
    to[1] += amounts[1]
    to[2] += amounts[2]


class MinuteWindow:
    """The starts of one tenant. Not thread-safe; each classifier has its own, made from the ledger.

    Prompts begin in the order in which they were let in.
    """

    __slots__ = ("_everyone", "_last", "_order", "_own", "_owned", "_slices")

    def __init__(self, owned: frozenset[int]) -> None:
        self._owned = owned
        self._slices: dict[int, dict[int, Sums]] = {}
        self._order: list[int] = []
        self._own: Sums = [0.0, 0.0, 0.0]
        self._everyone: Sums = [0.0, 0.0, 0.0]
        self._last = 0.0

    @property
    def is_empty(self) -> bool:
        """Whether nothing is remembered."""
        return not self._order

    def owns(self, partitions: frozenset[int]) -> None:
        """These partitions are this classifier's from now on."""
        self._owned = partitions
        self._own = [0.0, 0.0, 0.0]
        for key, by in self._slices.items():
            for partition in partitions & by.keys():
                add(self._own, by[partition])  # type: ignore[arg-type]  # a list of three
                self._last = max(self._last, key * SLICE_S)

    def note(self, partition: int, at: float, amounts: Amounts) -> None:
        """So much began at `at` (unix seconds), or less where it is below zero."""
        key = int(at / SLICE_S)
        if _leaves(key) <= self._last:
            return
        by = self._slices.get(key)
        if by is None:
            by = self._slices[key] = {}
            insort(self._order, key)
        sums = by.get(partition)
        if sums is None:
            sums = by[partition] = [0.0, 0.0, 0.0]
        add(sums, amounts)
        add(self._everyone, amounts)
        if partition in self._owned:
            add(self._own, amounts)
            if amounts[0] > 0:
                self._last = max(self._last, at)

    def earliest(
        self, amounts: Amounts, bounds: Bounds, share: float, now: float
    ) -> tuple[float | None, int]:
        """When so much may begin, and the number of the dimension that it last waited for.

        None: never, as it alone is more than the limit.
        """
        start = max(now, self._last)
        self.forget(start)
        own, everyone = list(self._own), list(self._everyone)
        waits_for = 0
        for key in (*self._order, None):
            found = blocked(own, everyone, amounts, bounds, share)
            if found is None:
                return start, waits_for
            waits_for = found
            if key is None:
                break
            start = max(start, _leaves(key))
            self._take_off(key, own, everyone)
        return None, waits_for

    def forget(self, now: float) -> None:
        """Let go of what began more than a minute before `now`."""
        order = self._order
        gone = 0
        while gone < len(order) and _leaves(order[gone]) <= now:
            self._take_off(order[gone], self._own, self._everyone)
            del self._slices[order[gone]]
            gone += 1
        del order[:gone]
        if not order:  # no rest of rounding stays
            self._own, self._everyone = [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]

    def used(self) -> Amounts:
        """What all classifiers together have begun, of what is remembered."""
        requests, tokens, usd = self._everyone
        return requests, tokens, usd

    def _take_off(self, key: int, own: Sums, everyone: Sums) -> None:
        for partition, (requests, tokens, usd) in self._slices[key].items():
            less = (-requests, -tokens, -usd)
            add(everyone, less)
            if partition in self._owned:
                add(own, less)


def _leaves(key: int) -> float:
    """When all of a slice lies more than a minute back."""
    return (key + 1) * SLICE_S + MINUTE_S
