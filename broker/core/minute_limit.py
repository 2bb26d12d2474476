"""One limit per minute, as one of several workers may use it. Pure: the time comes in.

Two things hold it. A bucket that fills at the worker's share of the rate and holds half a second of
it: what starts may take it below zero, and nothing starts until it is above again; so use is even,
and a new owner of a partition, who does not know what was used before it came, may simply go on at
its rate: it begins with a second of debt. And a log of the last minute in slices, each amount
divided by the share that it was used under: what is in it never passes the limit, however prompts
of different sizes fall.

Half of the rate is kept for light prompts in a second bucket, so that they go on while the first
one is in debt for a heavy one. The other lanes take turns: one that was refused holds the rest of
the rate until it starts, or for as long as it was told to wait.
"""

import math
from collections import deque
from typing import Final

from broker.core.lanes import Lane

MINUTE_S: Final = 60.0
AIM: Final = 0.99
"""The share of a limit that is used: calls reach the provider later than they begin, not evenly."""
BURST_S: Final = 0.5
"""A bucket that is full holds so many seconds of its rate."""
DEBT_S: Final = 1.0
"""A new worker begins with so many seconds of debt."""
LIGHT_SHARE: Final = 0.5
"""The share of the rate that light prompts have for themselves while they want it."""
MOST_AT_ONCE: Final = 0.5
"""What is larger than this share of a minute's amount starts when so much of it is free, and is the
one thing that may pass the limit: beside light prompts it would never start else."""
SLICE_S: Final = 0.25
_HOLD_S: Final = 0.5
_NEVER_S: Final = 3_600.0
"""How long to wait for a share that is none; a rebalance comes before."""

Taken = list[float]
"""A slice: its number, the amount in it divided by the share, and the share."""


class MinuteLimit:
    """Requests or tokens a minute. Not thread-safe; `now` may stand still but not run backwards."""

    __slots__ = ("_at", "_held", "_level", "_light", "_per_minute", "_share", "_slices", "_used")

    def __init__(self, per_minute: float, share: float, now: float) -> None:
        if per_minute <= 0:
            raise ValueError(f"a limit of {per_minute} a minute cannot work")
        self._per_minute = per_minute
        self._share = share
        self._at = now
        self._level = self._light = -DEBT_S * self.rate
        self._held: tuple[Lane, float] | None = None
        self._slices: deque[Taken] = deque()
        self._used = 0.0

    @property
    def per_minute(self) -> float:
        """The whole limit, of all workers."""
        return self._per_minute

    @property
    def rate(self) -> float:
        """What this worker may use a second."""
        return AIM * self._share * self._per_minute / MINUTE_S

    def change(
        self, now: float, *, share: float | None = None, per_minute: float | None = None
    ) -> None:
        """Another share or limit from now on; what was saved stays within the new bounds."""
        self._fill(now)
        before = self.rate
        self._share = self._share if share is None else share
        self._per_minute = self._per_minute if per_minute is None else per_minute
        if not before:
            self._level = self._light = min(self._level, -DEBT_S * self.rate)
        self._level, self._light = min(self._level, self._cap), min(self._light, self._cap)

    def wait(self, cost: float, lane: Lane, now: float) -> float:
        """In how many seconds so much may start if nothing else does; 0 is now."""
        if self._share <= 0:
            return _NEVER_S
        self._fill(now)
        need, rate = min(cost, self._cap), self.rate
        held = self._held is not None and self._held[0] != lane
        by_level = max(0.0, (need - self._level) / rate)
        if held and self._held is not None:
            by_level = max(by_level, self._held[1] - now, 0.01)
        if lane == "light":
            by_level = min(by_level, max(0.0, (need - self._light) / (rate * LIGHT_SHARE)))
        waits = max(by_level, self._wait_for_minute(cost, now))
        if waits and not held and lane in ("medium", "heavy"):
            self._held = (lane, now + waits + _HOLD_S)
        return waits

    def take(self, cost: float, lane: Lane, now: float) -> Taken:
        """So much starts now; whoever asks `wait` first keeps the limit. For `settle`."""
        self._fill(now)
        if self._held is not None and self._held[0] == lane:
            self._held = None
        self._level -= cost
        if lane == "light":
            self._light = max(self._light - cost, -self._cap - cost)
        number, share = now // SLICE_S, max(self._share, 1e-9)
        slices = self._slices
        if not slices or slices[-1][0] != number or slices[-1][2] != share:
            slices.append([number, 0.0, share])
        slices[-1][1] += cost / share
        self._used += cost / share
        return slices[-1]

    def settle(self, taken: Taken, more: float, now: float) -> None:
        """It was so much more than was taken, or, below zero, less."""
        self._fill(now)
        self._level -= more
        if taken[0] > self._oldest(now):
            taken[1] += more / taken[2]
            self._used += more / taken[2]

    def left_at_provider(self, left: float, now: float) -> None:
        """The provider says what is left for all workers: this one has its share of that."""
        self._fill(now)
        own = left * self._share
        self._level, self._light = min(self._level, own), min(self._light, own)

    def empty(self, now: float) -> None:
        """The provider has refused: nothing is saved."""
        self.left_at_provider(0.0, now)

    def left(self, now: float) -> float:
        """What of this worker's share of the last minute has not been used."""
        self._fill(now)
        return max(0.0, self._per_minute - self._used) * self._share

    def used_share(self, now: float, seconds: float) -> float:
        """The share of the whole limit that was used over the last so many seconds."""
        oldest = (now - seconds) // SLICE_S
        used = sum(amount * share for number, amount, share in self._slices if number > oldest)
        return used / (self._per_minute * seconds / MINUTE_S)

    @property
    def _cap(self) -> float:
        return self.rate * BURST_S

    def _fill(self, now: float) -> None:
        passed = now - self._at
        if passed > 0:
            self._at = now
            more, cap = passed * self.rate, self._cap
            # What was given back may lie above the cap; then it stays, and nothing is added.
            self._level = max(self._level, min(cap, self._level + more))
            self._light = max(self._light, min(cap, self._light + more * LIGHT_SHARE))
        if self._held is not None and now >= self._held[1]:
            self._held = None
        slices, oldest = self._slices, self._oldest(now)
        while slices and slices[0][0] <= oldest:
            self._used -= slices.popleft()[1]
        if not slices:
            self._used = 0.0  # no rest of rounding stays

    @staticmethod
    def _oldest(now: float) -> float:
        """The last slice that lies wholly before the last minute."""
        return (now - MINUTE_S) // SLICE_S - 1

    def _wait_for_minute(self, cost: float, now: float) -> float:
        most = self._per_minute
        too_much = self._used + min(cost / self._share, MOST_AT_ONCE * most) - most
        if too_much <= 1e-9 * most:
            return 0.0
        for number, amount, _ in self._slices:
            too_much -= amount
            if too_much <= 0:
                return max(0.01, (number + 1) * SLICE_S + MINUTE_S - now)
        return math.inf
