"""Notes when each prompt's record can be read, read-committed, and nothing else of it."""

import threading
import time
from array import array
from collections.abc import Sequence
from typing import Any, Final, Self

from confluent_kafka import Consumer, KafkaException, TopicPartition

from broker.bench.failing import MeasurementFailedError
from broker.log.clients import consumer_config
from broker.log.quick_polls import poll_at_once
from broker.settings import Settings
from broker.story.log_reader import LogReader

_BATCH: Final = 1_000
_POLL_S: Final = 0.05
_JOIN_S: Final = 5.0
_LIMITS: Final[dict[str, Any]] = {
    "group.id": "weighbridge-bench",
    "fetch.wait.max.ms": 100,
    "queued.max.messages.kbytes": 65_536,
}


class Watch:
    """One run: prompts `<run>-0` to `<run>-<count - 1>`, and when each came out.

    Times are `time.monotonic()`; 0 in `at` is one that has not come. `due` may be empty, when
    nothing is due at a time. Written by the reading thread, read by any.
    """

    def __init__(
        self, run: str, count: int, due: Sequence[float] = (), slow_s: float = 1.0
    ) -> None:
        self.run = run
        self.count = count
        self.due = due
        self.at = array("d", bytes(8 * count))
        self.came = 0
        self.doubled = 0
        self.failed = 0
        """Those that came, and not as succeeded."""
        self.slow = 0
        """Those that came more than `slow_s` after they were due."""
        self.mark_ms: int | None = None
        """Unix milliseconds: note when the first record comes that was written from then on."""
        self.marked_at: float | None = None
        self.slow_s = slow_s

    @property
    def missing(self) -> int:
        """Those that have not come."""
        return self.count - self.came

    def note(self, number: int, message: Any, now: float) -> None:
        """Take note of one record."""
        if self.at[number]:
            self.doubled += 1
            return
        self.at[number] = now
        self.came += 1
        if self.due and now - self.due[number] > self.slow_s:
            self.slow += 1
        status = dict(message.headers() or ()).get("status", b"succeeded")
        if status != b"succeeded":
            self.failed += 1
        mark = self.mark_ms
        if mark is not None and self.marked_at is None and message.timestamp()[1] >= mark:
            self.marked_at = now


class Arrivals:
    """Reads one topic from its present end on, in a thread of its own; a context manager.

    Raises NotReadyError at the start when the topic cannot be read.
    """

    def __init__(self, settings: Settings, topic: str) -> None:
        self._watch = Watch("", 0)
        self._stopping = threading.Event()
        self._failure: Exception | None = None
        with LogReader(settings) as reader:
            reader.require(topic)
            ends = [TopicPartition(topic, one.partition, one.end) for one in reader.spans(topic)]
        self._consumer = Consumer(consumer_config(settings, **_LIMITS))
        self._consumer.assign(ends)
        self._thread = threading.Thread(target=self._read, name="arrivals", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(_JOIN_S)
        self._consumer.close()

    def watch(self, watch: Watch) -> None:
        """Take notes for this run from now on; records of others are passed over."""
        self._watch = watch

    def check(self) -> None:
        """Raise what ended the reading, if it has ended."""
        if self._failure is not None:
            raise MeasurementFailedError(
                f"The bench's reader ended: {type(self._failure).__name__} ({self._failure})."
            ) from self._failure

    def _read(self) -> None:
        try:
            while not self._stopping.is_set():
                self._take(poll_at_once(self._consumer, _POLL_S, _BATCH))
        except Exception as error:  # noqa: BLE001 - `check` raises it where it is seen
            self._failure = error

    def _take(self, messages: Sequence[Any]) -> None:
        now, watch = time.monotonic(), self._watch
        for message in messages:
            if message.error() is not None:
                raise KafkaException(message.error())
            run, _, number = (message.key() or b"").decode().rpartition("-")
            if run == watch.run:
                watch.note(int(number), message, now)
