"""Virtual time: what is due, in order. Two events of the same moment happen as they were added."""

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

Act = Callable[[Any], None]
"""What happens at a moment; it is given what was told when the event was added."""


class Events:
    """A heap of events. Not thread-safe; `now` is the time of the one that happens (seconds)."""

    __slots__ = ("_heap", "_number", "handled", "now", "stopped")

    def __init__(self, now: float) -> None:
        self._heap: list[tuple[float, int, Act, Any]] = []
        self._number = 0
        self.now = now
        self.handled = 0
        self.stopped = False

    def at(self, when: float, act: Act, what: Any = None) -> None:
        """Let `act(what)` happen then; a moment that has passed is now."""
        self._number = number = self._number + 1
        heappush(self._heap, (max(self.now, when), number, act, what))

    def stop(self) -> None:
        """Let nothing more happen."""
        self.stopped = True

    def run(self, until: float) -> None:
        """Let everything happen, in order, until it is stopped or the time is over."""
        heap, handled = self._heap, 0
        while heap and not self.stopped:
            when, _, act, what = heappop(heap)
            if when > until:
                break
            self.now = when
            handled += 1
            act(what)
        self.handled += handled
