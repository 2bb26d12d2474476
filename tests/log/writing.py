"""A transactional writer on the session's broker, with topics of its own and everything noted."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from broker.core.pacing import Pacing
from broker.log.clients import admin_config, consumer_config, producer_config
from broker.log.committed_offsets import committed_positions
from broker.log.group_fence import group_metadata
from broker.log.progress_book import ProgressBook
from broker.log.transactions import TransactionalWriter
from broker.log.units import Output, PartitionSet, Unit
from broker.settings import Settings

IN_PARTITIONS = 3
OUT_PARTITIONS = 6
SMALL_BYTES = 10_000
"""What the topic `small` takes at most."""
WITHIN_S = 40.0


def eventually(condition: Callable[[], bool], within_s: float = WITHIN_S) -> bool:
    ends = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > ends:
            return False
        time.sleep(0.02)
    return True


class Fence:
    """A membership that a test sets. The first is that of a group without members."""

    def __init__(self, group: str) -> None:
        self.metadata: bytes | None = group_metadata(group, -1, "")

    def current(self) -> bytes | None:
        return self.metadata

    def wait_newer(self, than: bytes | None, deadline_s: float) -> bytes | None:
        eventually(lambda: self.metadata not in {None, than}, deadline_s)
        return self.metadata


NO_LEADER_YET = {"LEADER_NOT_AVAILABLE", "NOT_LEADER_FOR_PARTITION", "UNKNOWN_TOPIC_OR_PART"}


class Field:
    """The topics `<prefix>.in`, `.out` and `.small`, and what a read-committed reader finds."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        prefix = settings.kafka.prefix
        self.group = f"{prefix}.group"
        self.source, self.out, self.small = f"{prefix}.in", f"{prefix}.out", f"{prefix}.small"
        self.admin = AdminClient(admin_config(settings))
        limit = {"max.message.bytes": str(SMALL_BYTES)}
        topics = [
            NewTopic(self.source, IN_PARTITIONS, 1),
            NewTopic(self.out, OUT_PARTITIONS, 1),
            NewTopic(self.small, OUT_PARTITIONS, 1, config=limit),
        ]
        for made in self.admin.create_topics(topics).values():
            made.result(30)

    def positions(self) -> dict[int, tuple[int, str]]:
        places = [(self.source, partition) for partition in range(IN_PARTITIONS)]
        client = producer_config(self.settings)
        found = committed_positions(client, self.group, places, 20.0)
        return {partition: position for (_, partition), position in found.items()}

    def read(self, topic: str | None = None) -> list[Any]:
        """Every record below the last stable offset."""
        config = {"group.id": "reader", "enable.partition.eof": True, "fetch.wait.max.ms": 10}
        consumer = Consumer(consumer_config(self.settings, **config))
        consumer.assign([TopicPartition(topic or self.out, p, 0) for p in range(OUT_PARTITIONS)])
        found: list[Any] = []
        open_ones, ends = set(range(OUT_PARTITIONS)), time.monotonic() + WITHIN_S
        try:
            while open_ones:
                assert time.monotonic() < ends, open_ones
                for message in consumer.consume(1_000, 0.2):
                    if message.error() is None:
                        found.append(message)
                    else:
                        assert message.error().code() == KafkaError._PARTITION_EOF  # noqa: SLF001 - its public name
                        open_ones.discard(message.partition())
        finally:
            consumer.close()
        return found

    def values(self, topic: str | None = None) -> Counter[bytes]:
        return Counter(message.value() for message in self.read(topic))

    def open_records(self, topic: str | None = None) -> int:
        """Records that read-committed readers cannot pass yet."""
        places = [TopicPartition(topic or self.out, p) for p in range(OUT_PARTITIONS)]
        ends: list[int] = []
        for level in (IsolationLevel.READ_UNCOMMITTED, IsolationLevel.READ_COMMITTED):
            asked = {place: OffsetSpec.latest() for place in places}
            ends.append(self._sum_of_ends(asked, level))
        return ends[0] - ends[1]

    def _sum_of_ends(self, asked: Mapping[Any, Any], level: IsolationLevel) -> int:
        """Asked again while a topic that is new has partitions without a leader."""
        ends = time.monotonic() + 20
        while True:
            answers = self.admin.list_offsets(asked, isolation_level=level)
            try:
                return sum(answer.result(20).offset for answer in answers.values())
            except KafkaException as error:
                # The admin client's errors never say that they are retriable.
                if error.args[0].name() not in NO_LEADER_YET or time.monotonic() > ends:
                    raise
                time.sleep(0.05)


class Writing:
    """One writer and its book. It notes what it is told."""

    def __init__(self, field: Field, name: str = "writer", **given: Any) -> None:
        self.field = field
        self.book = given.pop("book", None) or ProgressBook()
        self.fence = Fence(field.group)
        self.committed: list[Unit] = []
        self.failures: list[BaseException] = []
        self.transactions: list[tuple[str, int]] = []
        self.recoveries: list[str] = []
        self.failed = threading.Event()
        settings = {"pacing": Pacing(), "max_pending": 100_000, "observer": self, **given}
        self.writer = TransactionalWriter(
            client=producer_config(field.settings),
            group=field.group,
            transactional_id=f"{field.group}-{name}",
            progress=self.book,
            fence=self.fence,
            on_committed=self.committed.extend,
            on_failed=self._fail,
            **settings,
        )

    def _fail(self, error: BaseException) -> None:
        self.failures.append(error)
        self.failed.set()

    def transaction_ended(self, outcome: str, seconds: float, units: int) -> None:
        del seconds
        self.transactions.append((outcome, units))

    def writer_recovered(self, why: str) -> None:
        self.recoveries.append(why)

    def assign(self, partition: int, epoch: int = 1, base: int = 0) -> None:
        self.book.assign((self.field.source, partition), epoch, base, "")

    def unit(
        self, partition: int, offset: int, *values: bytes, epoch: int = 1, topic: str | None = None
    ) -> Unit:
        """A unit of a record that the book takes note of, with one output for each value."""
        self.book.delivered((self.field.source, partition), offset)
        anywhere = PartitionSet(0, OUT_PARTITIONS)
        outputs = tuple(
            Output(topic or self.field.out, anywhere, str(offset).encode(), value)
            for value in values
        )
        return Unit(self.field.source, partition, offset, epoch, outputs)

    def units(self, partition: int, offsets: Sequence[int], epoch: int = 1) -> list[Unit]:
        """One output each, `<partition>-<offset>`."""
        return [
            self.unit(partition, offset, named(partition, offset), epoch=epoch)
            for offset in offsets
        ]


def named(partition: int, offset: int) -> bytes:
    return f"{partition}-{offset}".encode()


def once(counts: Mapping[int, int]) -> Counter[bytes]:
    """Each of so many offsets of these partitions exactly once."""
    return Counter(named(p, offset) for p, count in counts.items() for offset in range(count))


@contextmanager
def running(writing: Writing) -> Iterator[TransactionalWriter]:
    writing.writer.start()
    try:
        yield writing.writer
    finally:
        assert writing.writer.close(WITHIN_S)
