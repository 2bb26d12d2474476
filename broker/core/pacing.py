"""When the next transaction begins: at once when idle, further apart the more there is to do.

A transaction costs the broker by the partitions it touches, not by the records in it, so fewer and
larger ones carry more. On two cores 25 to 50 transactions a second of each process carried most: 20
to 40 ms apart took p50 at 800/s from 245-480 ms to 138 ms. At 200/s there is room for more of them:
8 to 12 ms apart took p50 from 43 to 27 ms for a tenth more of the broker's time.
"""

import math
from dataclasses import dataclass
from typing import Final

_MEMORY_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class Pacing:
    """Spacing rules. Times are seconds, rates results per second.

    Up to `idle_rate` nothing is held back: there are no more transactions than results. From there
    the spacing grows to `near_s` at twice that rate, and on to `far_s` at `busy_rate`.
    """

    near_s: float = 0.008
    far_s: float = 0.040
    idle_rate: float = 50.0
    busy_rate: float = 1000.0
    full: int = 500
    """So many results make a transaction that is worth beginning at once."""
    duty: float = 1.0
    """Least spacing under load in lengths of the last transaction, so that a slow broker gets
    fewer of them; bounded by `slow_s`."""
    slow_s: float = 0.100

    def spacing(self, rate: float, last_duration: float) -> float:
        """Least time from the beginning of one transaction to the next."""
        if rate <= self.idle_rate:
            return 0.0
        ramp = self.idle_rate
        if rate < 2 * ramp:
            return self.near_s * (rate - ramp) / ramp
        share = min(1.0, (rate - 2 * ramp) / (self.busy_rate - 2 * ramp))
        own = self.near_s + (self.far_s - self.near_s) * share
        return max(own, min(self.slow_s, self.duty * last_duration))

    def next_begin(
        self, now: float, last_began: float, *, pending: int, rate: float, last_duration: float
    ) -> float:
        """The time to begin the next transaction: `now` when it should begin at once.

        `pending` results wait for it; with none it never begins (infinity).
        """
        if pending <= 0:
            return math.inf
        if pending >= self.full:
            return now
        return max(now, last_began + self.spacing(rate, last_duration))


class Arrivals:
    """Rate of results over about the last quarter of a second, forgotten exponentially."""

    __slots__ = ("_at", "_count")

    def __init__(self) -> None:
        self._at = -math.inf
        self._count = 0.0

    def arrived(self, now: float, count: int) -> None:
        """Take note of so many results; `now` may stand still but not run backwards."""
        self._count = self._decayed(now) + count
        self._at = max(now, self._at)

    def rate(self, now: float) -> float:
        """Results per second."""
        return self._decayed(now) / _MEMORY_S

    def _decayed(self, now: float) -> float:
        if not self._count:
            return 0.0
        return self._count * math.exp(min(0.0, (self._at - now) / _MEMORY_S))
