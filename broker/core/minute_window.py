"""What a tenant has begun in the last minute, and when its next prompt may begin. Pure.

In no 60 seconds may more begin than the limit says. A bucket that fills at a rate could not promise
that, or would have to space prompts evenly that the limit allows at once; so the starts themselves
are kept, in slices, by the partition of `<prefix>.prompts` that they came through. A classifier has
the share of the limit that its partitions are of all, and sees what the others have begun.
"""

from bisect import insort
from collections.abc import Sequence
from typing import Final

from broker.core.tenant_limits import MINUTE_S, Amounts, Bounds

SLACK: Final = 0.01
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


def add(to: Sums, amounts: Sequence[float]) -> None:
    """Add in place."""
    to[0] += amounts[0]
    to[1] += amounts[1]
    to[2] += amounts[2]


class MinuteWindow:
    """The starts of one tenant. Not thread-safe; each classifier has its own, made from the ledger.

    Prompts begin in the order in which they were let in.
    """

    __slots__ = ("_by", "_everyone", "_last", "_lent", "_order", "_own", "_owned", "_slices")

    def __init__(self, owned: frozenset[int]) -> None:
        self._owned = owned
        self._slices: dict[int, dict[int, Sums]] = {}
        self._lent: dict[int, dict[int, Sums]] = {}
        self._order: list[int] = []
        self._by: dict[int, Sums] = {}
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
        for key in self._order:
            for slices in (self._slices, self._lent):
                by = slices.get(key, {})
                for partition in partitions & by.keys():
                    add(self._own, by[partition])
                    if slices is self._slices:
                        self._last = max(self._last, key * SLICE_S)

    def note(self, partition: int, at: float, amounts: Amounts) -> None:
        """So much began at `at` (unix seconds), or less where it is below zero."""
        self._put(partition, int(at / SLICE_S), amounts, self._slices)
        if amounts[0] > 0 and partition in self._owned:
            self._last = max(self._last, at)

    def note_lent(self, partition: int, at: float, amounts: Amounts) -> None:
        """So much of a partition's part was lent to another, or, below zero, borrowed.

        What is borrowed can be used for half a minute, and a prompt that begins then counts for
        one; so what is lent is missing for a minute and a half.
        """
        when = at + MINUTE_S / 2 if max(amounts) > 0 else at - MINUTE_S / 2
        self._put(partition, int(when / SLICE_S), amounts, self._lent)

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
            key = order[gone]
            self._take_off(key, self._own, self._everyone)
            for slices in (self._slices, self._lent):
                for partition, (requests, tokens, usd) in slices.pop(key, {}).items():
                    add(self._by[partition], (-requests, -tokens, -usd))
            gone += 1
        del order[:gone]
        if not order:  # no rest of rounding stays
            self._own, self._everyone = [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]
            self._by = {}

    @property
    def own(self) -> Sums:
        """What was begun or lent through this classifier's partitions, of what is remembered."""
        return self._own

    @property
    def everyone(self) -> Sums:
        """What all classifiers together have begun, of what is remembered."""
        return self._everyone

    def of(self, partition: int) -> Sums:
        """What was begun or lent through one partition, of what is remembered."""
        return self._by.get(partition, _NOTHING)

    def _put(
        self, partition: int, key: int, amounts: Amounts, slices: dict[int, dict[int, Sums]]
    ) -> None:
        if _leaves(key) <= self._last:
            return
        if key not in self._slices and key not in self._lent:
            insort(self._order, key)
        by = slices.setdefault(key, {})
        add(by.setdefault(partition, [0.0, 0.0, 0.0]), amounts)
        add(self._by.setdefault(partition, [0.0, 0.0, 0.0]), amounts)
        if slices is self._slices:
            add(self._everyone, amounts)
        if partition in self._owned:
            add(self._own, amounts)

    def _take_off(self, key: int, own: Sums, everyone: Sums) -> None:
        for slices in (self._slices, self._lent):
            for partition, (requests, tokens, usd) in slices.get(key, {}).items():
                less = (-requests, -tokens, -usd)
                if slices is self._slices:
                    add(everyone, less)
                if partition in self._owned:
                    add(own, less)


_NOTHING: Final[Sums] = [0.0, 0.0, 0.0]


def _leaves(key: int) -> float:
    """When all of a slice lies more than a minute back."""
    return (key + 1) * SLICE_S + MINUTE_S
