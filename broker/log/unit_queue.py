"""Units on their way into transactions: what waits, what is in hand, and when the next is due.

Shared by the owner's threads, which submit and flush, and the writer's, which takes.
"""

import threading
import time
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from broker.core.pacing import Arrivals, Pacing
from broker.log.progress_book import ProgressBook
from broker.log.units import Unit

MOST_UNITS: Final = 2_000
MOST_BYTES: Final = 16 * 1024 * 1024
"""Bounds of one transaction; it ends well before its time-out even on a slow broker."""
_IDLE_S: Final = 0.5


class UnitQueue:
    """`submit`, `flush`, `room` and `pending` are for any thread, the rest for the writer's."""

    def __init__(self, progress: ProgressBook, pacing: Pacing, max_pending: int) -> None:
        self._progress = progress
        self._pacing = pacing
        self._max_pending = max_pending
        self._arrivals = Arrivals()
        self._changed = threading.Condition()
        self._waiting: deque[Unit] = deque()
        self._in_hand: Sequence[Unit] = ()
        self._most = MOST_UNITS
        self._flushing = 0
        self._wants_more = False
        self._closing = False
        self._ended = False
        self._last_began = 0.0
        self._last_duration = 0.0

    @property
    def room(self) -> int:
        """Units that may be submitted now."""
        return self._max_pending - self.pending

    @property
    def pending(self) -> int:
        """Units submitted and not settled."""
        with self._changed:
            return len(self._waiting) + len(self._in_hand)

    @property
    def closing(self) -> bool:
        """Whether nothing more is to begin."""
        return self._closing

    def submit(self, units: Sequence[Unit]) -> None:
        """Hand over units; never blocks."""
        with self._changed:
            # Whoever waits for a transaction that is due later is not woken for one more unit.
            wakes = not self._waiting or self._flushing or self._wants_more
            self._waiting.extend(units)
            self._arrivals.arrived(time.monotonic(), len(units))
            if wakes or len(self._waiting) >= self._pacing.full:
                self._changed.notify_all()

    def flush(
        self, deadline_s: float, partitions: Collection[tuple[str, int]] | None = None
    ) -> bool:
        """Wait until what is pending (of these partitions) is settled; False when not in time."""
        ends = time.monotonic() + deadline_s
        with self._changed:
            self._flushing += 1
            self._changed.notify_all()
            try:
                while self._holds(partitions):
                    left = ends - time.monotonic()
                    if left <= 0 or self._ended:
                        return False
                    self._changed.wait(left)
                return True
            finally:
                self._flushing -= 1

    def _holds(self, partitions: Collection[tuple[str, int]] | None) -> bool:
        held: Iterable[Unit] = (*self._in_hand, *self._waiting)
        if partitions is not None:
            held = (unit for unit in held if (unit.topic, unit.partition) in partitions)
        return bool(self._progress.live(held))

    def next_group(self) -> Sequence[Unit] | None:
        """Wait until a transaction is due, and take its units; None at the end."""
        with self._changed:
            while not self._closing:
                now = time.monotonic()
                due = self._due(now)
                if due <= now:
                    return self._take()
                self._changed.wait(min(due - now, _IDLE_S))
            return None

    def _due(self, now: float) -> float:
        if self._waiting and self._flushing:
            return now
        return self._pacing.next_begin(
            now,
            self._last_began,
            pending=len(self._waiting),
            rate=self._arrivals.rate(now),
            last_duration=self._last_duration,
        )

    def _take(self) -> Sequence[Unit]:
        taken: list[Unit] = []
        size = 0
        while self._waiting and len(taken) < self._most and size < MOST_BYTES:
            unit = self._waiting.popleft()
            size += sum(len(output.value or b"") for output in unit.outputs)
            taken.append(unit)
        self._in_hand = taken
        return taken

    def give_back(self, again: Sequence[Unit], held: Sequence[Unit]) -> None:
        """Nothing is in hand any more. `again` come next, `held` last; stale ones are forgotten.

        `held` wait for a lower offset of their partition, which may stand behind them.
        """
        with self._changed:
            self._waiting.extendleft(reversed(self._progress.live(again)))
            self._waiting.extend(self._progress.live(held))
            self._in_hand = ()
            self._changed.notify_all()

    def lasted(self, began: float, seconds: float) -> None:
        """When the last transaction began (monotonic) and how long it took, for the spacing."""
        self._last_began, self._last_duration = began, seconds

    def smaller_groups(self, than: int) -> None:
        """The next groups have half as many units, to find the one that is refused."""
        self._most = max(1, than // 2)

    def larger_groups(self) -> None:
        """A group was committed: the next may be twice as large."""
        self._most = min(MOST_UNITS, self._most * 2)

    def rest(self, seconds: float) -> None:
        """Let so much time pass; a close ends it."""
        with self._changed:
            self._changed.wait_for(lambda: self._closing, seconds)

    def wait_for_more(self, than: int, seconds: float) -> None:
        """Wait until more than so many units wait, or the time is over."""
        with self._changed:
            self._wants_more = True
            self._changed.wait_for(lambda: self._closing or len(self._waiting) > than, seconds)
            self._wants_more = False

    def close(self) -> None:
        """Begin nothing more."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    def end(self) -> None:
        """The writer's thread ends: nobody need wait any longer."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
