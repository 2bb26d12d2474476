"""What a tenant has begun in the last minute, and when its next prompt may begin. Pure.

In no 60 seconds may more begin than the limit says. A bucket that fills at a rate could not promise
that, or would space prompts evenly that the limit allows at once; so the starts are kept, in
slices, by the partition of `<prefix>.prompts` that they are charged to. A classifier has the share
of the limit that its partitions are of all, more or less what is lent, and sees the others' starts.
"""

from bisect import insort
from collections.abc import Mapping, Sequence
from math import floor, inf
from typing import Final

from broker.core.limit_room import Sums, add, blocked
from broker.core.minute_slices import SLICE_S, Slices, leaves, most_within, put
from broker.core.tenant_limits import MINUTE_S, Amounts, Bounds

_ROUNDING: Final = 1e-9


class MinuteWindow:
    """The starts of one tenant, for one classifier. Not thread-safe.

    Prompts begin in the order in which they were let in, until something is borrowed: then a later
    one may begin before those that have a time already. So sums are those from a minute before the
    last start on, which may be to come.
    """

    __slots__ = (
        "_by",
        "_coming",
        "_last",
        "_order",
        "_owned",
        "_past",
        "_slices",
        "_sooner",
        "everyone",
        "lent",
        "own",
    )

    def __init__(self, owned: frozenset[int]) -> None:
        self._owned = owned
        self._slices: Slices = {}
        self._coming: Slices = {}
        """What is borrowed from a later time on, as if it were begun a minute before that."""
        self._past: Slices = {}
        """What lies in the minute before now, but more than one before the last start."""
        self._order: list[int] = []
        self._by: dict[int, Sums] = {}
        self.own: Sums = [0.0, 0.0, 0.0]
        """What was begun or lent through this classifier's partitions, of what is remembered."""
        self.everyone: Sums = [0.0, 0.0, 0.0]
        """What all classifiers together have begun, of what is remembered."""
        self._last = 0.0
        self._sooner = False
        self.lent: dict[int, Sums] = {}
        """What of each partition's part was lent to others; below zero: borrowed."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing is remembered."""
        return not (self._order or self.lent)

    def owns(self, partitions: frozenset[int]) -> None:
        """These partitions are this classifier's from now on."""
        self._owned = partitions
        self.own = [0.0, 0.0, 0.0]
        for partition in partitions & self.lent.keys():
            add(self.own, self.lent[partition])
        for slices in (self._slices, self._coming):
            for key, by in slices.items():
                for partition in partitions & by.keys():
                    add(self.own, by[partition])
                    if slices is self._slices:
                        self._last = max(self._last, key * SLICE_S)

    def note(self, partition: int, at: float, amounts: Amounts) -> None:
        """So much began at `at` (unix seconds), or less where it is below zero."""
        if self._enter(self._slices, partition, int(at / SLICE_S), amounts):
            add(self.everyone, amounts)
            if amounts[0] > 0 and partition in self._owned:
                self._last = max(self._last, at)

    def note_lent(self, partition: int, amounts: Amounts) -> None:
        """So much of a partition's part was lent to another, or, below zero, borrowed."""
        sums = self.lent.setdefault(partition, [0.0, 0.0, 0.0])
        add(sums, amounts)
        self._count(partition, amounts)
        self._sooner = self._sooner or (partition in self._owned and min(amounts) < 0)
        if not any(abs(amount) > _ROUNDING for amount in sums):
            self._count(partition, (-sums[0], -sums[1], -sums[2]))
            del self.lent[partition]

    def note_coming(self, partition: int, at: float, amounts: Amounts) -> None:
        """So much of what a partition has borrowed it may use from `at` on."""
        self._enter(self._coming, partition, floor((at - MINUTE_S) / SLICE_S), amounts)

    def earliest(
        self, amounts: Amounts, bounds: Bounds, share: float, now: float
    ) -> tuple[float | None, int]:
        """When so much may begin, and the number of the dimension that it last waited for.

        None: not as long as this classifier has no more of the limit.
        """
        self.forget(now)
        return self._first(list(self.own), amounts, bounds, share, max(now, self._last))

    def earliest_of_all(self, amounts: Amounts, bounds: Bounds, now: float) -> float | None:
        """When so much could begin if this classifier had all of the limit; None is never."""
        self.forget(now)
        return self._first([-inf, -inf, -inf], amounts, bounds, 1.0, max(now, self._last))[0]

    def _first(
        self, own: Sums, amounts: Amounts, bounds: Bounds, share: float, start: float
    ) -> tuple[float | None, int]:
        order, everyone, later = self._order, list(self.everyone), [0.0, 0.0, 0.0]
        begun, gone, waits_for = len(order), 0, 0
        while begun and order[begun - 1] * SLICE_S > start:  # let in for later already
            begun -= 1
            self._move(order[begun], -1.0, own, everyone, later)
        while True:
            found = blocked(own, everyone, amounts, bounds, share, later=later)
            if found is not None and gone == len(order):
                return None, found
            if found is not None:
                start, waits_for = max(start, leaves(order[gone])), found
            else:
                clash = self._clash((own, everyone), amounts, bounds, share, (gone, begun))
                if clash is None:
                    return start, waits_for
                start = max(start, clash * SLICE_S)
            while begun < len(order) and order[begun] * SLICE_S <= start:
                self._move(order[begun], 1.0, own, everyone, later)
                begun += 1
            while gone < len(order) and leaves(order[gone]) <= start:
                self._take_off(order[gone], own, everyone)
                gone += 1

    def _clash(
        self,
        used: Sequence[Sums],
        amounts: Amounts,
        bounds: Bounds,
        share: float,
        at: tuple[int, int],
    ) -> int | None:
        """The first slice, let in for later, that would not fit any more; None when all do."""
        order, (gone, begun) = self._order, at
        sums, of_all = ([*map(float.__add__, one, amounts)] for one in used)
        for key in order[begun:]:
            while leaves(order[gone]) <= key * SLICE_S:
                self._take_off(order[gone], sums, of_all)
                gone += 1
            self._move(key, 1.0, sums, of_all, [0.0, 0.0, 0.0])
            mine = not self._owned.isdisjoint(self._slices.get(key, ()))
            if (
                blocked(sums if mine else _NOTHING, of_all, (0.0, 0.0, 0.0), bounds, share)
                is not None
            ):
                return key
        return None

    def forget(self, now: float) -> None:
        """Let go of what began more than a minute before `now`, or before our last start."""
        if self._sooner:
            self._begin_anew()
        order, past = self._order, self._past
        front = max(now, self._last)
        gone = 0
        while gone < len(order) and leaves(order[gone]) <= front:
            key = order[gone]
            self._take_off(key, self.own, self.everyone)
            for slices in (self._slices, self._coming):
                for partition, (requests, tokens, usd) in slices.pop(key, {}).items():
                    add(self._by[partition], (-requests, -tokens, -usd))
                    if leaves(key) > now:
                        put(past, key, partition, (requests, tokens, usd))
            gone += 1
        del order[:gone]
        if not order:  # no rest of rounding stays
            self.own, self.everyone = [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]
            self._by = {}
            for partition, sums in self.lent.items():
                self._count(partition, sums)
        while past and leaves(key := next(iter(past))) <= now:
            del past[key]

    def peaks(self, at: float) -> Mapping[int, Sums]:
        """The most that begins in any minute that ends `at` or later, by own partition.

        Not before the time that was last forgotten. What is still to come of what was borrowed
        counts as begun.
        """
        return most_within((self._past, self._slices, self._coming), self._owned, at)

    @property
    def coming(self) -> Sums:
        """What this classifier has borrowed for later."""
        sums = [0.0, 0.0, 0.0]
        for by in self._coming.values():
            for partition in self._owned & by.keys():
                add(sums, by[partition])
        return sums

    def of(self, partition: int) -> Sums:
        """What was begun or lent through one partition, of what is remembered."""
        return self._by.get(partition, _NOTHING)

    def _enter(self, slices: Slices, partition: int, key: int, amounts: Amounts) -> bool:
        """Put it where it belongs; whether it counts for what begins next."""
        if leaves(key) <= self._last:
            put(self._past, key, partition, amounts)
            return False
        if key not in self._slices and key not in self._coming:
            insort(self._order, key)
        put(slices, key, partition, amounts)
        self._count(partition, amounts)
        return True

    def _begin_anew(self) -> None:
        """There may be room before our last start now."""
        self._sooner, self._last = False, 0.0
        past, self._past = self._past, {}
        for key, by in past.items():
            for partition, (requests, tokens, usd) in by.items():
                if self._enter(self._slices, partition, key, (requests, tokens, usd)):
                    add(self.everyone, (requests, tokens, usd))

    def _count(self, partition: int, amounts: Sequence[float]) -> None:
        add(self._by.setdefault(partition, [0.0, 0.0, 0.0]), amounts)
        if partition in self._owned:
            add(self.own, amounts)

    def _move(self, key: int, factor: float, own: Sums, everyone: Sums, later: Sums) -> None:
        for partition, amounts in self._slices.get(key, {}).items():
            moved = [factor * amount for amount in amounts]
            add(everyone, moved)
            if partition in self._owned:
                add(own, moved)
            else:
                add(later, [-amount for amount in moved])

    def _take_off(self, key: int, own: Sums, everyone: Sums) -> None:
        for slices in (self._slices, self._coming):
            for partition, (requests, tokens, usd) in slices.get(key, {}).items():
                less = (-requests, -tokens, -usd)
                if slices is self._slices:
                    add(everyone, less)
                if partition in self._owned:
                    add(own, less)


_NOTHING: Final[Sums] = [0.0, 0.0, 0.0]
