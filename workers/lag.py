"""How much of our partitions has not been read yet."""

from collections.abc import Collection, Mapping
from typing import Any, Final

from confluent_kafka import KafkaException, TopicPartition

from broker.core.lanes import LANES, Lane

_WATERMARK_S: Final = 0.25


def lag_by_lane(
    consumer: Any,
    topic: str,
    starts: Mapping[int, int],
    paused: Collection[int],
    lane_of: Mapping[int, Lane],
) -> dict[Lane, int]:
    """Records past the consumer's position, by lane; call it on the reading thread.

    `starts` has the offset that each of our partitions is read from.
    """
    lag: dict[Lane, int] = dict.fromkeys(LANES, 0)
    ours = [TopicPartition(topic, partition) for partition in starts]
    ask = True
    for place in consumer.position(ours) if ours else ():
        # The cached end is that of the last fetch; a paused partition is not fetched.
        asked = ask and place.partition in paused
        try:
            ends = consumer.get_watermark_offsets(place, timeout=_WATERMARK_S, cached=not asked)
        except KafkaException:
            ask = False
            continue
        # There is no position before the first record has been read.
        at = place.offset if place.offset >= 0 else starts[place.partition]
        if ends is not None and ends[1] > at:
            lag[lane_of[place.partition]] += ends[1] - at
    return lag
