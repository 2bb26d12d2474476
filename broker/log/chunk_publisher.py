"""Writes `<prefix>.chunks`: idempotent, outside transactions, and never in the way of a call.

A producer apart from the journal's, so that streams cannot fill the queue that every call's start
goes through. There is no thread for its events: whoever publishes serves them on the event loop,
which takes microseconds.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Producer

from broker.core.dedupe import home_partition
from broker.telemetry.logs import get_logger

MOST_WAITING: Final = 10_000
MOST_WAITING_KB: Final = 32 * 1024
"""Records, and kB of them, that may wait for the broker; beyond either it takes no more."""
DELIVERY_S: Final = 10.0
"""How long a record may wait until it is lost."""
_TELL_EVERY_S: Final = 10.0


class ChunkPublisher:
    """Used on the event loop. `on_lost` is called for each record that is lost."""

    def __init__(
        self,
        client: Mapping[str, Any],
        topic: str,
        partitions: int,
        on_lost: Callable[[], None],
    ) -> None:
        self._topic = topic
        self._partitions = partitions
        self._on_lost = on_lost
        self._told_at = -_TELL_EVERY_S
        self._log = get_logger(topic=topic)
        self._producer = Producer(
            {
                **client,
                "linger.ms": 1,
                "queue.buffering.max.messages": MOST_WAITING,
                "queue.buffering.max.kbytes": MOST_WAITING_KB,
                "message.timeout.ms": int(DELIVERY_S * 1000),
                # What is written needs no word in Python.
                "delivery.report.only.error": True,
                "on_delivery": self._delivered,
            }
        )

    def partition_of(self, prompt_id: str) -> int:
        """Where all chunks of a prompt go: where Java's clients send that key."""
        return home_partition(prompt_id, self._partitions)

    def publish(
        self, partition: int, key: bytes, value: bytes, headers: list[tuple[str, bytes]]
    ) -> bool:
        """Hand over one record; False when the queue is full, so that it must be tried again.

        A record that Kafka's client refuses for good is lost, and counts as handed over.
        """
        try:
            self._producer.produce(self._topic, value, key, partition, headers=headers)
        except BufferError:
            return False
        except KafkaException as error:
            self._lost(error.args[0])
        return True

    def serve(self) -> int:
        """Hear what became of records; how many still wait. Returns at once."""
        self._producer.poll(0)
        return len(self._producer)

    def flush(self, deadline_s: float) -> int:
        """Wait until everything is written; how many are not. For another thread than the loop."""
        return int(self._producer.flush(deadline_s))

    def _delivered(self, error: KafkaError | None, _message: object) -> None:
        if error is not None:
            self._lost(error)

    def _lost(self, error: KafkaError) -> None:
        self._on_lost()
        now = time.monotonic()
        if now - self._told_at >= _TELL_EVERY_S:
            self._told_at = now
            self._log.warning("chunks_lost", why=error.name())
