"""How much of our partitions has not been read yet."""

from collections.abc import Collection, Mapping
from typing import Any, Final

from confluent_kafka import KafkaException, TopicPartition

from broker.core.lanes import LANES, Lane

_WATERMARK_S: Final = 0.25
_FRESH_S: Final = 2.0
"""So long the end that the last fetch told serves for a partition that is paused."""


class Lag:
    """Records past the consumer's position. For the reading thread, which must not wait for it.

    The cached end of a partition is that of its last fetch. One that has been paused for longer is
    asked for at the cluster, which may wait behind a fetch that waits for records: so one
    partition a look, the one whose end is the oldest.
    """

    def __init__(self, topic: str, lane_of: Mapping[int, Lane]) -> None:
        self._topic = topic
        self._lane_of = lane_of
        self._known: dict[int, float] = {}
        self._ends: dict[int, int] = {}

    def by_lane(
        self, consumer: Any, starts: Mapping[int, int], paused: Collection[int], now: float
    ) -> dict[Lane, int]:
        """Records by lane that have not been read; `starts` is where each partition is read from.

        `now` is in seconds of a monotonic clock.
        """
        lag: dict[Lane, int] = dict.fromkeys(LANES, 0)
        ours = [TopicPartition(self._topic, partition) for partition in starts]
        ask = self._oldest(starts, paused, now)
        for place in consumer.position(ours) if ours else ():
            partition = place.partition
            if partition not in paused:
                self._known[partition] = now
            end = self._end(consumer, place, asked=partition == ask)
            # There is no position before the first record has been read.
            at = place.offset if place.offset >= 0 else starts[partition]
            lag[self._lane_of[partition]] += max(0, end - at)
        if ask is not None:
            self._known[ask] = now
        return lag

    def _oldest(self, starts: Mapping[int, int], paused: Collection[int], now: float) -> int | None:
        for gone in self._known.keys() - starts.keys():
            del self._known[gone]
            self._ends.pop(gone, None)
        known = {one: self._known.get(one, -_FRESH_S) for one in starts if one in paused}
        oldest = min(known, key=known.__getitem__, default=None)
        return None if oldest is None or now - known[oldest] < _FRESH_S else oldest

    def _end(self, consumer: Any, place: TopicPartition, *, asked: bool) -> int:
        """The newest end that is known; 0 when none is."""
        try:
            ends = consumer.get_watermark_offsets(place, timeout=_WATERMARK_S, cached=not asked)
        except KafkaException:
            ends = None
        newest = max(self._ends.get(place.partition, 0), 0 if ends is None else ends[1])
        self._ends[place.partition] = newest
        return newest
