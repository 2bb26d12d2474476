"""The dedupe windows of the assigned partitions: whose, how far, and what is to be read again."""

from collections.abc import Mapping
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

    def assign(self, bases: Mapping[int, int]) -> None:
        """Free what is not ours any more; `bases` are the offsets at which partitions go on.

        A partition that stays keeps its window, and what another owner did meanwhile is read into
        it. But one that knows more than what lies before the base is made anew: of the times of
        records that it meets again it would judge as of later ones.
        """
        partitions = set(bases)
        for partition, one in list(self._of.items()):
            if partition not in partitions or (one.covers or 0) > bases[partition]:
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
