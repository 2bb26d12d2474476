"""How much work this process holds, and so which partitions may be fetched. Read by two threads.

Each lane has its own share of both bounds: heavy prompts that wait must never keep light ones from
being fetched. Within a lane a partition may hold `OWN` times what is free of the lane's share, so
that it is never all taken: one partition alone gets two thirds of it, two flooded ones two fifths
each. The partitions where a flooding tenant's work stands pause while the others, which hold
little, go on being fetched.
"""

from collections.abc import Mapping
from typing import Final

from broker.core.lanes import LANES, Lane
from workers.job import Arrival

SHARES: Final[Mapping[Lane, float]] = {"light": 0.4, "medium": 0.25, "heavy": 0.2, "batch": 0.15}
OWN: Final = 2.0
RESUME_AT: Final = 0.25
"""A paused partition is fetched again when it holds less than this share of what it may, so that it
does not flap: a pause throws away what the client has fetched ahead. One that is alone in its lane
is fetched again at half of what it had when it was paused."""


class Backlog:
    """Counters by lane and by partition: one thread writes what came, the other what left.

    That way neither needs a lock. `waiting` is what came and has not been started; `held` the bytes
    of what came and has not ended.
    """

    def __init__(self, *, max_records: int, max_bytes: int) -> None:
        self._records = {lane: max(1, int(max_records * SHARES[lane])) for lane in LANES}
        self._bytes = {lane: max(1, int(max_bytes * SHARES[lane])) for lane in LANES}
        self._came, self._left = _Counted(), _Counted()

    def came(self, item: Arrival) -> None:
        """A record was read (reading thread)."""
        self._came.count(item, 1)
        self._came.weigh(item)

    def started(self, item: Arrival) -> None:
        """It waits no more (event loop). Once for each record, also when it is dropped."""
        self._left.count(item, 1)

    def rests(self, item: Arrival) -> None:
        """It waits again, until its next try (event loop)."""
        self._left.count(item, -1)

    def ended(self, item: Arrival) -> None:
        """It is no longer held (event loop). Once for each record."""
        self._left.weigh(item)

    def waiting(self, of: Lane | int) -> int:
        """Records of a lane, or of a partition, that were read and not started."""
        return self._came.records.get(of, 0) - self._left.records.get(of, 0)

    def held_bytes(self, of: Lane | int) -> int:
        """Bytes of records of a lane, or of a partition, that were read and have not ended."""
        return self._came.bytes.get(of, 0) - self._left.bytes.get(of, 0)

    def free(self, lane: Lane) -> int:
        """Records that the lane's share has room for; below 0 when more was ready than asked."""
        return self._records[lane] - self.waiting(lane)

    def is_full(self, lane: Lane, partition: int, *, paused: bool) -> bool:
        """Whether this partition of the lane should not be fetched now, given whether it is."""
        may = OWN * (RESUME_AT if paused else 1.0)
        free = self.free(lane)
        free_bytes = self._bytes[lane] - self.held_bytes(lane)
        return (
            self.waiting(partition) >= may * free or self.held_bytes(partition) >= may * free_bytes
        )


class _Counted:
    """Records and bytes by lane and by partition. Written by one thread, read by any."""

    def __init__(self) -> None:
        self.records: dict[Lane | int, int] = {}
        self.bytes: dict[Lane | int, int] = {}

    def count(self, item: Arrival, change: int) -> None:
        records = self.records
        for of in (item.lane, item.place.partition):
            records[of] = records.get(of, 0) + change

    def weigh(self, item: Arrival) -> None:
        sizes = self.bytes
        for of in (item.lane, item.place.partition):
            sizes[of] = sizes.get(of, 0) + item.size
