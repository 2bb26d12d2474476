"""What one tenant has used, and whether its next prompt may come in. Pure: the time comes in.

Everything is counted by the partition of `<prefix>.prompts` that a prompt came through, for a
partition is one classifier's alone: of each budget a classifier may spend the share that its
partitions are of all, without asking anyone. Whoever gets a partition reads in the ledger what was
spent through it. So all classifiers together stay within a budget however late they hear of each
other, but for `SLACK`, which each may use of its own share while the others have left some.
"""

from collections.abc import Sequence
from math import inf
from typing import Final

from broker.core.limit_room import Sums, add, blocked
from broker.core.minute_window import MinuteWindow
from broker.core.tenant_bucket import Bucket
from broker.core.tenant_limits import (
    DIMENSIONS,
    NO_BOUNDS,
    PERIODS,
    Amounts,
    Bounds,
    Period,
    Refused,
    TenantLimits,
    day_ends,
    day_of,
    month_ends,
    month_of,
)

KEPT_DAYS: Final = 3
KEPT_MONTHS: Final = 2
NEARLY: Final = 0.01
"""What is left of a budget when nobody waits for others' parts of it any more, as a share of it."""
NEAR_END: Final = 0.1
"""With less left than this share of a budget of tokens or dollars, prompts are charged what they
may use at the most, not what they are expected to."""
SOON_S: Final = 1.0
"""When to try again where only this classifier's part of a budget is used up."""


class TenantAccount:
    """One tenant's use, as one classifier knows it. Not thread-safe."""

    __slots__ = ("_full", "_owned", "_roomy", "busy", "days", "minute", "months", "unmet")

    def __init__(self, owned: frozenset[int]) -> None:
        self._owned = owned
        self.minute = MinuteWindow(owned)
        self.days: dict[int, Bucket] = {}
        self.months: dict[int, Bucket] = {}
        self._roomy = (-1, 0)
        self._full: tuple[TenantLimits, float, int, float, float, float | None] | None = None
        """Under which limits and share nothing as large in a dimension can begin before a time,
        and when it could at the earliest if others lent us of theirs."""
        self.busy = False
        """Whether anything was let in here since this was set to False."""
        self.unmet: Sums = [0.0, 0.0, 0.0]
        """What a limit of a minute kept from beginning at once since this was set to nothing."""

    def owns(self, partitions: frozenset[int]) -> None:
        """These partitions are this classifier's from now on."""
        if partitions == self._owned:
            return
        self._owned = partitions
        self._roomy = (-1, 0)
        self._full = None
        self.minute.owns(partitions)
        for bucket in (*self.days.values(), *self.months.values()):
            bucket.owns(partitions)

    def note(self, partition: int, at: float, amounts: Amounts) -> None:
        """So much was used through a partition by what begins at `at`; below zero: given back."""
        own = partition in self._owned
        self._in(self.days, day_of(at)).note(partition, amounts, own=own)
        self._in(self.months, month_of(at)).note(partition, amounts, own=own)

    def note_minute(self, partition: int, at: float, amounts: Amounts) -> None:
        """The same for the last minute, where that is limited."""
        self.minute.note(partition, at, amounts)
        if amounts[0] <= 0:
            self._full = None
        elif partition in self._owned:
            self.busy = True

    def note_lent(self, period: Period, partition: int, at: float, amounts: Amounts) -> None:
        """So much of a partition's part of a limit was lent to another; below zero: borrowed.

        What is borrowed of a limit of a minute may be used from `at` on: see `note_coming`.
        """
        self._full = None
        if period == "minute":
            self.minute.note_lent(partition, amounts)
            return
        buckets, number = (
            (self.days, day_of(at)) if period == "day" else (self.months, month_of(at))
        )
        own = partition in self._owned
        self._in(buckets, number).note_lent(partition, amounts, own=own)

    def used(self, period: Period, at: float) -> tuple[Sums, Sums]:
        """What was used or lent through this classifier's partitions, and used through all."""
        if period == "minute":
            self.minute.forget(at)
            return self.minute.own, self.minute.everyone
        bucket = self._at(period, at)
        return (_NOTHING, _NOTHING) if bucket is None else (bucket.own, bucket.everyone)

    def used_through(self, partition: int, period: Period, at: float) -> Sequence[float]:
        """What was used or lent through one partition."""
        if period == "minute":
            return self.minute.of(partition)
        bucket = self._at(period, at)
        return _NOTHING if bucket is None else bucket.by.get(partition, _NOTHING)

    def roomiest(self, limits: TenantLimits, partitions: int, at: float) -> int:
        """The partition of this classifier with the most left of its part of the limits.

        What is let in is charged to that one, whichever it came through: so no part is overdrawn
        that another classifier could be given alone. `partitions` are all of the prompts.
        """
        bounded = [
            (period, number, bound / partitions)
            for period in PERIODS
            for number, bound in enumerate(limits.of(period))
            if bound is not None
        ]

        def left(partition: int) -> float:
            return min(
                (part - self.used_through(partition, period, at)[number]) / part
                for period, number, part in bounded
            )

        if not self._owned:
            return 0
        kept, times = self._roomy
        if times > 0 and left(kept) > _MUCH:
            self._roomy = (kept, times - 1)
            return kept
        best = max(self._owned, key=left)
        # While there is much left of it the others need not be looked at each time.
        self._roomy = (best, _AGAIN)
        return best

    def _at(self, period: str, at: float) -> Bucket | None:
        if period == "day":
            return self.days.get(day_of(at))
        return self.months.get(month_of(at))

    def admit(
        self, amounts: Amounts, limits: TenantLimits, share: float, now: float, latest: float
    ) -> float | Refused:
        """When a prompt may begin, `now` or later, or why it may not; nothing is counted yet.

        `share` is that of this classifier's partitions. It must begin by `latest`.
        """
        start = now
        if limits.minute != NO_BOUNDS:
            found = self._start(amounts, limits, share, now, latest)
            if isinstance(found, Refused):
                return found
            start = found
        return (
            self._spent("day", limits.day, amounts, share, start)
            or self._spent("month", limits.month, amounts, share, start)
            or start
        )

    def nears_end(self, limits: TenantLimits, at: float) -> bool:
        """Whether little is left of a budget that lengths of answers count for."""
        for period, bounds in (("day", limits.day), ("month", limits.month)):
            bucket = None if bounds == NO_BOUNDS else self._at(period, at)
            if bucket is not None:
                for number, bound in enumerate(bounds[1:], 1):
                    if bound is not None and bucket.everyone[number] > bound * (1.0 - NEAR_END):
                        return True
        return False

    def _start(
        self, amounts: Amounts, limits: TenantLimits, share: float, now: float, latest: float
    ) -> float | Refused:
        full = self._full
        if full is not None and full[0] is limits and full[1] == share:
            _, _, number, cost, until, again = full
            if amounts[number] >= cost and until > latest:
                add(self.unmet, amounts)
                return self._rate(limits.minute, number, again, now, amounts)
        start, number = self.minute.earliest(amounts, limits.minute, share, now)
        if start != now:
            add(self.unmet, amounts)
        if start is not None and start <= latest:
            return start
        again = start
        if share < 1.0:  # others may lend us theirs
            again = self.minute.earliest_of_all(amounts, limits.minute, now)
        until = inf if start is None else start
        self._full = (limits, share, number, amounts[number], until, again)
        return self._rate(limits.minute, number, again, now, amounts)

    def _rate(
        self, bounds: Bounds, number: int, again: float | None, now: float, amounts: Amounts
    ) -> Refused:
        used, asked = self.minute.everyone[number], amounts[number]
        limit = bounds[number] or 0.0
        retry_at = None if again is None else max(again, now + SOON_S)
        return Refused(
            "minute", DIMENSIONS[number], limit, retry_at, spent=False, used=used, asked=asked
        )

    def _spent(
        self, period: Period, bounds: Bounds, amounts: Amounts, share: float, at: float
    ) -> Refused | None:
        if bounds == NO_BOUNDS:
            return None
        own, everyone = self.used(period, at)
        number = blocked(own, everyone, amounts, bounds, share)
        if number is None:
            return None
        limit = bounds[number] or 0.0
        left = limit - everyone[number]
        # What is left of all may still be less than this classifier could ever get of it.
        spent = amounts[number] > left * share or left <= NEARLY * limit
        alone = amounts[number] > limit
        ends = day_ends(at) if period == "day" else month_ends(at)
        retry_at = None if alone else ends if spent else at + SOON_S
        used, asked = everyone[number], amounts[number]
        return Refused(period, DIMENSIONS[number], limit, retry_at, spent, used, asked)

    def sweep(self, now: float) -> None:
        """Let go of what no limit can ask for any more."""
        self.minute.forget(now)
        for day in [one for one in self.days if one <= day_of(now) - KEPT_DAYS]:
            del self.days[day]
        for month in [one for one in self.months if one <= month_of(now) - KEPT_MONTHS]:
            del self.months[month]

    def _in(self, buckets: dict[int, Bucket], number: int) -> Bucket:
        bucket = buckets.get(number)
        if bucket is None:
            bucket = buckets[number] = Bucket()
        return bucket


_MUCH: Final = 0.25
_AGAIN: Final = 15
_NOTHING: Final[Sums] = [0.0, 0.0, 0.0]
