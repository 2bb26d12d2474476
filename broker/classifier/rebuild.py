"""Filling dedupe windows from the prompts themselves, up to the committed offsets and no further.

What lies past a committed offset is read again by the stream; had it been read into the window
before, it would still be met as the same record, but the window would know of records whose
decisions were never committed. It runs in a thread of its own, so that the group's heartbeat and
the partitions that are ready go on.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Event, Thread
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from broker.classifier.identity import Identify
from broker.classifier.windows import Remembered
from broker.records.errors import NotReadyError, WeighbridgeError
from broker.telemetry.logs import get_logger

BATCH: Final = 2_000
REQUEST_S: Final = 20.0
STALLED_S: Final = 60.0
TELL_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Job:
    """A window to be filled up to `base`, the offset at which the stream goes on."""

    remembered: Remembered
    base: int
    first: int
    """The first offset that the partition still has."""


@dataclass(frozen=True, slots=True)
class Callbacks:
    """All are called on the rebuilding thread. `ready` gets the partition and its seconds."""

    ready: Callable[[int, float], None]
    failed: Callable[[WeighbridgeError], None]


class Rebuild:
    """One run, over the partitions of one assignment; never used again."""

    def __init__(
        self,
        client: Mapping[str, Any],
        topic: str,
        jobs: Mapping[int, Job],
        *,
        window_s: float,
        identify: Identify,
        callbacks: Callbacks,
    ) -> None:
        self._client = client
        self._topic = topic
        self._jobs = dict(jobs)
        self._window_s = window_s
        self._identify = identify
        self._callbacks = callbacks
        self._cancelled = Event()
        self._began = time.monotonic()
        self._records = 0
        self._log = get_logger(room="classifier")
        self._thread = Thread(target=self._run, name="dedupe-rebuild", daemon=True)

    def start(self) -> None:
        """Begin; partitions without anything to read are ready before this returns."""
        for partition, job in list(self._jobs.items()):
            covered = job.remembered.covers
            if job.base <= job.first or (covered is not None and covered >= job.base):
                self._done(partition)
        if self._jobs:
            self._thread.start()

    def cancel(self) -> None:
        """Stop soon. The windows that are not ready yet are of no use to anybody."""
        self._cancelled.set()

    def join(self, deadline_s: float) -> None:
        """Wait until the thread has ended."""
        if self._thread.ident is not None:
            self._thread.join(deadline_s)

    def _run(self) -> None:
        consumer = Consumer(
            {
                **self._client,
                "group.id": f"{self._topic}.rebuild",  # asked for by librdkafka, never joined
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 50,
                "queued.max.messages.kbytes": 65_536,
            }
        )
        try:
            self._read(consumer)
        except KafkaException as error:
            self._fail(f"reading failed: {error.args[0]}")
        finally:
            consumer.close()

    def _read(self, consumer: Any) -> None:
        starts = self._starts(consumer)
        for partition, start in starts.items():
            if start >= self._jobs[partition].base:
                self._done(partition)
        if not self._jobs:
            return
        total = sum(self._jobs[partition].base - starts[partition] for partition in self._jobs)
        self._log.info("dedupe_rebuild", partitions=len(self._jobs), records=total)
        consumer.assign([self._place(p, starts[p]) for p in self._jobs])
        now = time.time()
        told = moved = time.monotonic()
        while self._jobs and not self._cancelled.is_set():
            messages = consumer.consume(BATCH, 0.25)
            at = time.monotonic()
            if messages:
                moved = at
                self._take(consumer, messages, now)
            elif at - moved > STALLED_S:
                self._fail(f"no record came for {STALLED_S:.0f} s")
                return
            if at - told > TELL_S:
                told = at
                self._log.info("dedupe_rebuild_progress", records=self._records, of=total)

    def _take(self, consumer: Any, messages: list[Any], now: float) -> None:
        jobs, identify = self._jobs, self._identify
        for message in messages:
            partition = message.partition()
            job = jobs.get(partition)
            if job is None:
                continue
            if message.error() is not None:
                if message.error().code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
                    raise KafkaException(message.error())
                self._finish(consumer, partition)
                continue
            offset = message.offset()
            if offset < job.base:
                identity = identify(message.value(), _headers(message))
                if identity is not None:
                    job.remembered.window.check(
                        identity, offset, message.timestamp()[1] / 1000.0, now
                    )
                self._records += 1
            if offset >= job.base - 1:
                self._finish(consumer, partition)

    def _finish(self, consumer: Any, partition: int) -> None:
        consumer.pause([TopicPartition(self._topic, partition)])
        self._done(partition)

    def _done(self, partition: int) -> None:
        job = self._jobs.pop(partition)
        if not self._cancelled.is_set():
            job.remembered.covers = max(job.base, job.remembered.covers or 0)
            self._callbacks.ready(partition, time.monotonic() - self._began)

    def _starts(self, consumer: Any) -> dict[int, int]:
        """Where to begin reading, so that the window before the next record is whole."""
        times = self._times_at_base(consumer)
        asked = [
            self._place(partition, int(max(0.0, times[partition] - self._window_s) * 1000))
            for partition in self._jobs
        ]
        found = consumer.offsets_for_times(asked, timeout=REQUEST_S)
        starts: dict[int, int] = {}
        for place in found:
            job = self._jobs[place.partition]
            start = job.base if place.offset < 0 else min(place.offset, job.base)
            starts[place.partition] = max(start, job.remembered.covers or 0)
        return starts

    def _times_at_base(self, consumer: Any) -> dict[int, float]:
        """The time of the record at each base: after a long rest it lies far in the past."""
        now = time.time()
        times = dict.fromkeys(self._jobs, now)
        waiting = set(self._jobs)
        consumer.assign([self._place(p, self._jobs[p].base) for p in waiting])
        ends = time.monotonic() + REQUEST_S
        while waiting and not self._cancelled.is_set() and time.monotonic() < ends:
            for message in consumer.consume(len(waiting) * 4, 0.25):
                partition = message.partition()
                if partition in waiting:
                    waiting.discard(partition)
                    if message.error() is None:
                        times[partition] = min(now, message.timestamp()[1] / 1000.0)
        consumer.unassign()
        return times

    def _place(self, partition: int, offset: int) -> TopicPartition:
        return TopicPartition(self._topic, partition, offset)

    def _fail(self, why: str) -> None:
        if self._cancelled.is_set():
            return
        self._callbacks.failed(
            NotReadyError(
                f"The ids seen before could not be read from {self._topic}: {why}.",
                mend="Without them a duplicate could be answered twice, so nothing is processed; "
                "look at the broker.",
                code="dedupe_rebuild_failed",
            )
        )


def _headers(message: Any) -> tuple[tuple[str, bytes], ...]:
    try:
        return tuple(message.headers() or ())
    except UnicodeDecodeError:  # a header's name is not text: such headers are not believed
        return ()
