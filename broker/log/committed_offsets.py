"""Committed offsets that no pending transaction is about to move, asked of any consumer.

A coordinator that has just moved, or still loads its partition of `__consumer_offsets`, answers
with an error that passes: after a broker's start, or when a group is asked for the first time.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from broker.log.kafka_errors import kafka_error

_PASSING: Final = frozenset(
    {
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    }
)
_PAUSE_S: Final = 0.1
_OF_PRODUCERS: Final = frozenset(
    {
        *("acks", "enable.idempotence", "linger.ms", "compression.type", "compression.codec"),
        *("partitioner", "transactional.id", "transaction.timeout.ms", "message.max.bytes"),
        *("queue.buffering.max.messages", "queue.buffering.max.kbytes"),
    }
)
"""A consumer would complain of these."""


def stable_offsets(
    consumer: Any, places: Sequence[TopicPartition], deadline_s: float
) -> list[TopicPartition]:
    """What the consumer's group has committed for these places; -1001 where it never did.

    The consumer is read-committed, so the broker makes it wait for pending transactions. Raises
    KafkaException when there is no answer in time, also when one place of several has none: an
    unknown position must not pass for one that was never committed.
    """
    ends = time.monotonic() + deadline_s
    while True:
        try:
            found: list[TopicPartition] = consumer.committed(
                list(places), timeout=max(0.1, ends - time.monotonic())
            )
            _refuse_unknown(found)
        except KafkaException as error:
            if error.args[0].code() not in _PASSING or time.monotonic() + _PAUSE_S >= ends:
                raise
            time.sleep(_PAUSE_S)
        else:
            return found


def _refuse_unknown(found: Sequence[Any]) -> None:
    for place in found:
        if place.error is not None:
            raise KafkaException(place.error)


def committed_positions(
    client: Mapping[str, Any], group: str, partitions: Sequence[tuple[str, int]], deadline_s: float
) -> dict[tuple[str, int], tuple[int, str]]:
    """Offsets and metadata of a group, without joining it; -1001 where it never committed.

    `client` are the settings of a consumer or a producer. Raises WeighbridgeError at the deadline.
    """
    consumer = Consumer(
        {
            **{name: value for name, value in client.items() if name not in _OF_PRODUCERS},
            "group.id": group,
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
        }
    )
    try:
        found = stable_offsets(consumer, [TopicPartition(*tp) for tp in partitions], deadline_s)
    except KafkaException as error:
        raise kafka_error(
            error,
            doing=f"asking how far {group} is",
            where=str(client.get("bootstrap.servers")),
        ) from error
    finally:
        consumer.close()
    return {(tp.topic, tp.partition): (tp.offset, tp.metadata or "") for tp in found}
