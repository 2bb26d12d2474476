"""By how much a limit grows that nothing speaks against. Pure."""

from typing import Final

from broker.core.call_window import CallWindow

_PATIENCE: Final = 4
"""So many windows in a row it holds, when calls wait a little."""
_PART, _LATER_PART, _PART_AGAIN = 8, 4, 2
_LONG: Final = 4


class Growth:
    """Steps that double, up to a part of the limit: a larger one after a long time without a word.

    Back to what was held before, as a fall may have been a moment's, it goes faster.
    """

    __slots__ = ("_grown", "_holds", "known")

    def __init__(self) -> None:
        self._grown = self._holds = 0
        self.known = 0
        """The limit before the last fall."""

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
        part = _LATER_PART if self._grown > _LONG else _PART
        most = limit // (_PART_AGAIN if limit < self.known else part)
        wanted = limit + min(1 << self._grown, max(1, most))
        if wanted > near:
            return limit
        self._grown += 1
        return wanted
