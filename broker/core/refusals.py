"""What a provider's refusals say of the calls that it takes at once. Pure."""

from typing import Final

HOLD_S: Final = 20.0
"""A number of calls that was refused is not tried again for so long."""
OVERLOADED: Final = 0.25
"""The share of late calls that were answered with 503, from which on it is overload."""
_WEIGHT: Final = 0.1


class Refusals:
    """Of late. `most` is the highest limit that there may be; times in seconds."""

    __slots__ = ("_at", "_highest", "_overload", "ceiling")

    def __init__(self, most: int, now: float) -> None:
        self._highest = 2 * most
        self._at, self.ceiling = now - HOLD_S, self._highest
        self._overload = 0.0

    def answered(self) -> None:
        """A call was answered."""
        self._overload *= 1 - _WEIGHT

    def refused(self, now: float, *, counted: bool) -> bool:
        """A call was refused; whether that says that there are too many.

        A 503 (not `counted`) may have other reasons: it counts when many calls meet one.
        """
        if not counted:
            self._overload += (1 - self._overload) * _WEIGHT
            if self._overload < OVERLOADED:
                return False
            self._overload = 0.0
        self._at = now
        return True

    def at(self, now: float) -> int:
        """So many were too many, as far as is known; twice the highest limit when nothing is."""
        if now - self._at > HOLD_S:
            self.ceiling = self._highest
        return self.ceiling
