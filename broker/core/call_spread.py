"""How far calls' times are spread, over what they should take: how many should have ended. Pure."""

from collections.abc import Sequence
from math import floor, log, log2
from typing import Final

_MOST_OF_ONE: Final = 2.0
"""One call counts as two that should have ended, at the most: one that hangs proves nothing."""
_ENOUGH: Final = 50
_FORGET_AT: Final = 400.0
_PER_OCTAVE: Final = 12
_BINS: Final = 8 * _PER_OCTAVE
_MIDDLE: Final = _BINS // 2
_SHORTEST: Final = 0.1


class CallSpread:
    """A histogram that forgets: of late ended calls, the time taken over the one expected."""

    __slots__ = ("_counts", "_hazards", "_total", "known_at")

    def __init__(self) -> None:
        self._counts = [0.0] * _BINS
        self._hazards: list[float] = []
        self._total = 0.0
        self.known_at = 0.0
        """From then on also the slow ones of the first calls have ended."""

    def known(self, now: float) -> bool:
        """Whether enough was learned to say anything."""
        return self._total >= _ENOUGH and now >= self.known_at

    def learn(self, ratio: float, first_until: float) -> None:
        """A call took this much of its time; the slow ones of the first end by `first_until`."""
        if not self._total:
            self.known_at = first_until
        self._counts[place_of(ratio)] += 1
        self._total += 1
        self._hazards = []
        if self._total >= _FORGET_AT:
            self._counts = [count / 2 for count in self._counts]
            self._total /= 2

    def should_have_ended(self, ratio: float) -> float:
        """The cumulative hazard of a call of this age, over its expected time."""
        return self.hazards[place_of(ratio)]

    @property
    def hazards(self) -> Sequence[float]:
        """What `should_have_ended` says by `place_of` a ratio, until something is learned."""
        hazards = self._hazards
        if not hazards:
            first = left = self._total + 1
            hazard = 0.0
            for count in self._counts:
                hazards.append(hazard)
                if count:
                    left -= count
                    hazard = min(log(first / left), _MOST_OF_ONE)
        return hazards


def place_of(ratio: float) -> int:
    """Where an age over its expected time stands in the histogram."""
    if ratio <= _SHORTEST:
        return 0
    return min(floor(log2(ratio) * _PER_OCTAVE) + _MIDDLE, _BINS - 1)
