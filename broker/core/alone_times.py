"""What calls take now that wait for nothing, beside what they took when first measured. Pure."""

from math import sqrt
from typing import Final

from broker.core.call_window import CallWindow

_MOST: Final = 120.0
"""It is known by so many calls of late, at most."""
_LEAST_DOUBT: Final = 0.01


class AloneTimes:
    """`scale`: what calls take now, over what they took when their times were learned.

    It is known by a number of calls only: no window can tell more than that number lets it.
    """

    __slots__ = ("_calls", "scale")

    def __init__(self) -> None:
        self.scale = 1.0
        self._calls = 0.0

    def doubt(self, window: CallWindow) -> float:
        """What chance may do to a window's ratio: its own calls', and that of those before it."""
        self._calls = self._calls or window.calls
        return window.doubt * sqrt(1 + window.calls / self._calls)

    def waited(self, window: CallWindow, limit: int) -> float:
        """How many times as long a window's calls took as they would have alone.

        What chance may have done says that they waited only in part: else what calls take would
        be moved by the chance of each window, and could never come back. 1 where there was room.
        """
        ratio = window.ratio
        if not window.is_full(limit):
            return 1.0
        sure = abs(ratio - 1) / max(self.doubt(window), _LEAST_DOUBT)
        return 1 + (ratio - 1) * min(1.0, sure * sure)

    def measured(self, ratio: float, calls: float) -> None:
        """So many calls that waited for nothing took `ratio` times what they should have."""
        self.scale *= ratio
        self._calls = min(calls, _MOST)

    def also(self, window: CallWindow) -> None:
        """These had room: they have told what a call takes, beside those before them."""
        self._calls = self._calls or window.calls
        self._calls = min(self._calls + len(window.fresh), _MOST)
