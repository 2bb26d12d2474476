"""How much of our partitions has not been read yet."""

import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from confluent_kafka import KafkaException, TopicPartition

from broker.core.lanes import LANES, Lane

_WATERMARK_S: Final = 0.25
_ASKING_S: Final = 0.04
"""No further partition is asked for in a look that has taken so long."""
_FRESH_S: Final = 0.4


class Lag:
    """Records past the consumer's position. For the reading thread, which must not wait for it.

    The cached end of a partition is that of its last fetch, so one that is paused has to be asked
    for at the cluster. That is a matter of a millisecond, or of a tenth of a second where it stands
    behind a fetch that waits for records: those with the oldest end come first, and what does not
    fit into a look waits for the next ones.
    """

    def __init__(
        self,
        topic: str,
        lane_of: Mapping[int, Lane],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._topic = topic
        self._lane_of = lane_of
        self._clock = clock
        self._known: dict[int, float] = {}
        self._ends: dict[int, int] = {}

    def by_lane(
        self, consumer: Any, starts: Mapping[int, int], paused: Collection[int]
    ) -> dict[Lane, int]:
        """Records by lane that have not been read; `starts` is where each partition is read from.

        Of partitions that have been paused for long it may be some seconds old.
        """
        for known in (self._known, self._ends):
            for gone in known.keys() - starts.keys():
                del known[gone]
        began = self._clock()
        ours = [TopicPartition(self._topic, partition) for partition in starts]
        places = consumer.position(ours) if ours else []
        places.sort(key=lambda place: self._known.get(place.partition, -_FRESH_S))
        lag: dict[Lane, int] = dict.fromkeys(LANES, 0)
        for place in places:
            partition, now = place.partition, self._clock()
            old = now - self._known.get(partition, -_FRESH_S) >= _FRESH_S
            asked = partition in paused and old and now - began < _ASKING_S
            end = self._end(consumer, place, asked=asked)
            if asked or partition not in paused:
                self._known[partition] = now
            # There is no position before the first record has been read.
            at = place.offset if place.offset >= 0 else starts[partition]
            lag[self._lane_of[partition]] += max(0, end - at)
        return lag

    def _end(self, consumer: Any, place: TopicPartition, *, asked: bool) -> int:
        """The newest end that is known; 0 when none is."""
        try:
            ends = consumer.get_watermark_offsets(place, timeout=_WATERMARK_S, cached=not asked)
        except KafkaException:
            ends = None
        newest = max(self._ends.get(place.partition, 0), 0 if ends is None else ends[1])
        self._ends[place.partition] = newest
        return newest
