"""The dedupe windows of the assigned partitions: whose, how far, and what is to be read again."""

from dataclasses import dataclass
from typing import Final

from broker.core.dedupe import DedupeWindow

FEWEST_IDS: Final = 1_000


@dataclass(slots=True)
class Remembered:
    """One partition's window. It knows the log up to `covers`, without gaps, or from `since` on.

    `covers` is the offset up to which every record has gone into the window; None when the window
    is new and nothing has.
    """

    window: DedupeWindow
    covers: int | None = None


class Windows:
    """Windows by partition. Of one thread at a time: the one that decides, or one that rebuilds."""

    def __init__(self, window_s: float, max_ids: int) -> None:
        self._window_s = window_s
        self._max_ids = max_ids
        self._of: dict[int, Remembered] = {}
        self._evicted_by_gone = 0

    def assign(self, partitions: set[int]) -> None:
        """Free what is not ours any more. A partition that stays keeps its window.

        A kept window is right wherever reading goes on: it depends on the log alone, so what it
        knows beyond the new position is met again as the same record, and what another owner did
        meanwhile is read into it.
        """
        for partition in set(self._of) - partitions:
            self.forget(partition)
        share = max(FEWEST_IDS, self._max_ids // max(1, len(partitions)))
        for partition in partitions - set(self._of):
            self._of[partition] = Remembered(DedupeWindow(self._window_s, share))

    def forget(self, partition: int) -> None:
        """Give up a window that is only half filled."""
        gone = self._of.pop(partition, None)
        if gone is not None:
            self._evicted_by_gone += gone.window.evicted_early

    def of(self, partition: int) -> Remembered:
        """The window of an assigned partition."""
        return self._of[partition]

    @property
    def ids(self) -> int:
        """Ids remembered in all windows."""
        return sum(len(one.window) for one in list(self._of.values()))

    @property
    def evicted_early(self) -> int:
        """Ids forgotten inside the window for want of room, since the start."""
        now = sum(one.window.evicted_early for one in list(self._of.values()))
        return self._evicted_by_gone + now
