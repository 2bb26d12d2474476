"""By how much a limit grows that nothing speaks against. Pure."""

from typing import Final

from broker.core.call_window import CallWindow

_PATIENCE: Final = 4
"""So many windows in a row it holds, when calls wait a little."""
_PARTS: Final = (8, 8, 4, 4, 2)
"""The part of the limit that a step is at most, of the first, the second ... after a fall."""
_PART_AGAIN: Final = 2


class Growth:
    """Steps that double, up to a part of the limit: a larger one after a long time without a word.

    Back to what was held before, as a fall may have been a moment's, it goes faster.
    """

    __slots__ = ("_grown", "_held", "_holds", "_known")

    def __init__(self) -> None:
        self._grown = self._holds = 0
        self._held = self._known = 0

    def fell(self, limit: int) -> None:
        """It was too much, or seems so; what was held before that is known."""
        self._known = min(self._held or limit, limit)

    def goes_back(self, limit: int) -> bool:
        """Whether more than this was held before the last fall."""
        return limit < self._known

    def restart(self) -> None:
        """From steps of one on."""
        self._grown = 0

    def after(self, window: CallWindow, limit: int, near: float) -> int:
        """The limit after a window of calls; not above `near`, which was refused of late."""
        if window.waits_a_little and self._holds < _PATIENCE:
            self._holds += 1
            self._grown //= 2
            return limit
        self._holds = 0
        self._held = limit
        part = _PARTS[min(self._grown, len(_PARTS) - 1)]
        most = limit // (_PART_AGAIN if self.goes_back(limit) else part)
        wanted = limit + min(1 << self._grown, max(2, most))
        if self.goes_back(limit):
            wanted = min(wanted, self._known)
        if wanted > near:
            return limit
        self._grown += 1
        return wanted
