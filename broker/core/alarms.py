"""Items with a time at which something is to be done about each."""

import heapq
from collections.abc import Callable
from itertools import count
from typing import Final, Generic, TypeVar

T = TypeVar("T")
_SLACK: Final = 256


class Alarms(Generic[T]):
    """A heap by time. Items that are gone stay in it until they are due, or swept."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, T]] = []
        self._order = count()

    def __len__(self) -> int:
        """Entries, also of items that are gone."""
        return len(self._heap)

    @property
    def first_at(self) -> float | None:
        """When the first is due; it may prove to be gone."""
        return self._heap[0][0] if self._heap else None

    def add(self, at: float, item: T) -> None:
        """Something is to be done about this item at `at`, unix seconds."""
        heapq.heappush(self._heap, (at, next(self._order), item))

    def due(self, now: float) -> tuple[float, T] | None:
        """Take out the first entry that is due at `now`, with its time; None when none is."""
        if not self._heap or self._heap[0][0] > now:
            return None
        at, _, item = heapq.heappop(self._heap)
        return at, item

    def sweep(self, live: int, is_live: Callable[[float, T], bool]) -> None:
        """Let go of entries that are gone when there are many more than the `live` ones."""
        if len(self._heap) > 2 * live + _SLACK:
            self._heap = [entry for entry in self._heap if is_live(entry[0], entry[2])]
            heapq.heapify(self._heap)
