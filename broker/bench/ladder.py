"""The search for the highest rate that holds. Pure: whoever measures says whether a rung held."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self


@dataclass(frozen=True, slots=True)
class Ladder:
    """Rates in rising order, and what is known of them.

    From `start` it strides up while rungs hold, or down while they do not, each stride twice as
    long as the one before; then it halves what is left between. Made for an oracle that is
    monotone; another one ends too, with a rung that held.
    """

    rungs: Sequence[float]
    start: int
    stride: int = 1
    held: int = -1
    """The highest rung known to hold; -1 for none."""
    broke: int | None = None
    """The lowest rung known not to hold."""

    @property
    def best(self) -> float | None:
        """The highest rate known to hold."""
        return self.rungs[self.held] if self.held >= 0 else None

    @property
    def next_rung(self) -> float | None:
        """The rate to try now; None when the search is over."""
        place = self._next()
        return None if place is None else self.rungs[place]

    def after(self, held: bool) -> Self:  # noqa: FBT001 - the answer to `next_rung`, nothing else
        """What is known once the next rung has been tried."""
        place = self._next()
        if place is None:
            return self
        stride = self.stride if self.held < 0 and self.broke is None else 2 * self.stride
        if held:
            return replace(self, held=place, stride=stride)
        return replace(self, broke=place, stride=stride)

    def _next(self) -> int | None:
        last = len(self.rungs) - 1
        if self.broke is None:
            if self.held < 0:
                return min(max(self.start, 0), last)
            return min(self.held + self.stride, last) if self.held < last else None
        if self.broke - self.held <= 1:
            return None
        if self.held < 0:
            return max(self.broke - self.stride, 0)
        return (self.held + self.broke) // 2


def nearest(rungs: Sequence[float], rate: float) -> int:
    """The place of the rung closest to this rate."""
    return min(range(len(rungs)), key=lambda place: abs(rungs[place] - rate))
