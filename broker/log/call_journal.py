"""The journal of provider calls: a record before each, a record after it.

It is written outside the transactions, so that a call is on record even when the worker dies in the
middle of it, and when its result is rolled back: that is how repeated calls can be counted.
"""

import time
from collections.abc import Awaitable
from typing import Final

from broker.log.acknowledged_producer import AcknowledgedProducer
from broker.records.calls import CallEvent, encode_call

_STICK_S: Final = 0.05
"""So long all records go to one partition: a batch costs the broker, a record in it hardly does."""


class CallJournal:
    """Writes to `<prefix>.calls`. Used on the event loop."""

    def __init__(self, producer: AcknowledgedProducer, topic: str, partitions: int) -> None:
        self._producer = producer
        self._topic = topic
        self._partitions = partitions

    def started(self, event: CallEvent) -> Awaitable[None]:
        """Written and acknowledged once awaited; raises WeighbridgeError when it could not be."""
        written = self._producer.send(
            self._topic, encode_call(event), key=event.id.encode(), partition=self._partition()
        )
        # Whoever does not wait must not be told by the loop that nobody looked.
        written.add_done_callback(lambda done: done.cancelled() or done.exception())
        return written

    def ended(self, event: CallEvent) -> None:
        """To be written; nobody waits for it."""
        self._producer.send_and_forget(
            self._topic, encode_call(event), key=event.id.encode(), partition=self._partition()
        )

    def _partition(self) -> int:
        return int(time.monotonic() / _STICK_S) % self._partitions
