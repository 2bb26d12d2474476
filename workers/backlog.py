"""How much work this process holds, and so which lanes may be fetched. Read by two threads.

Each lane has its own share of both bounds: heavy prompts that wait must never keep light ones from
being fetched.
"""

from collections.abc import Mapping
from typing import Final

from broker.core.lanes import LANES, Lane

SHARES: Final[Mapping[Lane, float]] = {"light": 0.4, "medium": 0.25, "heavy": 0.2, "batch": 0.15}
RESUME_AT: Final = 0.5
"""A paused lane is fetched again below this share of its bound, so that it does not flap: a pause
throws away what the client has fetched ahead."""


class Backlog:
    """Counters by lane: one thread writes what came, the other what left.

    That way neither needs a lock. `waiting` is what came and has not been started; `held` the bytes
    of what came and has not ended.
    """

    def __init__(self, *, max_records: int, max_bytes: int) -> None:
        self._records = {lane: max(1, int(max_records * SHARES[lane])) for lane in LANES}
        self._bytes = {lane: max(1, int(max_bytes * SHARES[lane])) for lane in LANES}
        self._came: dict[Lane, int] = dict.fromkeys(LANES, 0)
        self._came_bytes: dict[Lane, int] = dict.fromkeys(LANES, 0)
        self._left: dict[Lane, int] = dict.fromkeys(LANES, 0)
        self._left_bytes: dict[Lane, int] = dict.fromkeys(LANES, 0)

    def came(self, lane: Lane, size: int) -> None:
        """A record was read (reading thread)."""
        self._came[lane] += 1
        self._came_bytes[lane] += size

    def started(self, lane: Lane) -> None:
        """It waits no more (event loop). Once for each record, also when it is dropped."""
        self._left[lane] += 1

    def rests(self, lane: Lane) -> None:
        """It waits again, until its next try (event loop)."""
        self._left[lane] -= 1

    def ended(self, lane: Lane, size: int) -> None:
        """It is no longer held (event loop). Once for each record."""
        self._left_bytes[lane] += size

    def waiting(self, lane: Lane) -> int:
        """Records read and not started."""
        return self._came[lane] - self._left[lane]

    def held_bytes(self, lane: Lane) -> int:
        """Bytes of records read and not ended."""
        return self._came_bytes[lane] - self._left_bytes[lane]

    def is_full(self, lane: Lane, *, paused: bool) -> bool:
        """Whether the lane should not be fetched now, given whether it is paused already."""
        at = RESUME_AT if paused else 1.0
        return (
            self.waiting(lane) >= self._records[lane] * at
            or self.held_bytes(lane) >= self._bytes[lane] * at
        )
