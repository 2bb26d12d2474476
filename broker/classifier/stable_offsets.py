"""Positions that no pending transaction is about to move.

aiokafka fetches committed offsets without KIP-447's require-stable flag: after a rebalance it may
be given an offset that a transaction of the previous owner is still moving, and the prompts in
between would be decided twice. librdkafka sets the flag and waits, so it is asked instead.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

from broker.log.committed_offsets import stable_offsets
from broker.records.errors import NotReadyError


@dataclass(frozen=True, slots=True)
class Start:
    """Where reading of a partition begins: the committed offset and the text kept beside it.

    `offset` is None when nothing was ever committed.
    """

    offset: int | None
    metadata: str


class StableOffsets:
    """Committed offsets of one group, read-committed. Use it from one thread at a time."""

    def __init__(self, client: Mapping[str, Any], group: str) -> None:
        self._config = {
            **client,
            "group.id": group,
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
        }
        self._consumer: Any = None

    def read(self, topic: str, partitions: Collection[int], deadline_s: float) -> dict[int, Start]:
        """Ask the group's coordinator; raises NotReadyError when there is no answer in time."""
        if not partitions:
            return {}
        if self._consumer is None:
            self._consumer = Consumer(self._config)
        wanted = [TopicPartition(topic, partition) for partition in sorted(partitions)]
        try:
            found = stable_offsets(self._consumer, wanted, deadline_s)
        except KafkaException as error:
            raise _unknown(topic, str(error.args[0])) from error
        starts: dict[int, Start] = {}
        for place in found:
            starts[place.partition] = Start(
                offset=place.offset if place.offset >= 0 else None,
                metadata=place.metadata or "",
            )
        return starts

    def close(self) -> None:
        """Let go of the connection."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None


def _unknown(place: str, why: str) -> NotReadyError:
    return NotReadyError(
        f"The committed offset of {place} could not be read: {why}.",
        mend="A transaction that stays open ends by its time-out; if this goes on, look at the "
        "broker that coordinates the group.",
        code="committed_offset_unknown",
    )
