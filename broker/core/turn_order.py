"""Who is next by clock, to within a slice: as quick among 100,000 as among ten. Pure."""

import heapq
from collections import deque
from collections.abc import Callable
from typing import Final, Generic, TypeVar

SLICE: Final = 64.0
"""Clocks (token units) in the same slice count as equal: the first to come goes first. One heap of
all would be looked through in as many cold places of memory as it has levels."""

L = TypeVar("L")
Turn = tuple[float, int, L]
"""Clock, order of coming, and whose it is."""


class TurnOrder(Generic[L]):
    """Turns in slices by clock; a heap holds the numbers of those slices that have any."""

    __slots__ = ("_numbers", "_slices")

    def __init__(self) -> None:
        self._slices: dict[int, deque[Turn[L]]] = {}
        self._numbers: list[int] = []

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._numbers)

    @property
    def first(self) -> Turn[L]:
        """The next one; IndexError when there is none."""
        return self._slices[self._numbers[0]][0]

    def push(self, turn: Turn[L]) -> None:
        """Add a turn."""
        number = int(turn[0] // SLICE)
        own = self._slices.get(number)
        if own is None:
            self._slices[number] = deque((turn,))
            heapq.heappush(self._numbers, number)
        else:
            own.append(turn)

    def pop(self) -> None:
        """Take the next one out."""
        own = self._slices[self._numbers[0]]
        own.popleft()
        if not own:
            del self._slices[heapq.heappop(self._numbers)]

    def keep(self, is_kept: Callable[[L], bool]) -> None:
        """Only these."""
        kept = {
            number: deque(turn for turn in own if is_kept(turn[2]))
            for number, own in self._slices.items()
        }
        self._slices = {number: own for number, own in kept.items() if own}
        self._numbers = sorted(self._slices)
