"""Few calls against fewer, in turns: whether the provider takes less than a handful at once. Pure.

One look at fewer calls may be fooled: on a machine that is busy times go up and down by themselves.
Seven windows, with more and with fewer in turns, each quicker with fewer than those on both sides
of it, are next to never an accident (`docs/limits.md` has the figures).
"""

from statistics import geometric_mean
from typing import Final

WINDOWS: Final = 7
CLEARLY: Final = 1.15
"""With twice the calls, each takes at least so much longer where they wait for each other."""


class Pairs:
    """Windows with `more` (two or more) and with `fewer` calls in turns, `more` first."""

    __slots__ = ("_ratios", "fewer", "more")

    def __init__(self, more: int) -> None:
        self.more, self.fewer = more, more // 2
        self._ratios: list[float] = []

    @property
    def limit(self) -> int:
        """Of the window that is next."""
        return self.fewer if len(self._ratios) % 2 else self.more

    def measured(self, ratio: float) -> bool:
        """A window's time over its expected time; whether it still looks as if calls waited."""
        self._ratios.append(ratio)
        return all(quotient >= CLEARLY for quotient in self._quotients[-1:])

    @property
    def done(self) -> bool:
        """Whether all windows were measured."""
        return len(self._ratios) >= WINDOWS

    @property
    def found(self) -> float:
        """Calls served at once, once it is done; no less than `fewer`, as far as it can tell."""
        return max(self.more / geometric_mean(self._quotients), float(self.fewer))

    @property
    def alone(self) -> float | None:
        """The ratio of those with fewer calls; None before there were any."""
        fewer = self._ratios[1::2]
        return geometric_mean(fewer) if fewer else None

    @property
    def _quotients(self) -> list[float]:
        with_more_first = enumerate(zip(self._ratios, self._ratios[1:], strict=False))
        return [b / a if at % 2 else a / b for at, (a, b) in with_more_first]
