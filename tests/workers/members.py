"""Members of a worker's group on the real broker: intakes that note all that they tell."""

import time
from collections.abc import Callable, Collection
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from broker.log.clients import admin_config, consumer_config, producer_config
from broker.log.progress_book import ProgressBook
from broker.log.units import Unit
from broker.records.work import encode_work
from broker.settings import Settings
from tests.workers.building import PLAN, work
from workers.assignment import Hooks
from workers.backlog import Backlog
from workers.fence import CachedFence
from workers.intake import Intake
from workers.job import Arrival
from workers.parts import consumer_settings

ALL = tuple(range(PLAN.total))
LANE_OF = {partition: lane for lane, own in PLAN.partitions.items() for partition in own}


def eventually(true: Callable[[], object], within_s: float = 30.0) -> None:
    ends = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < ends, "not in time"
        time.sleep(0.02)


class Topic:
    """A work topic of twelve partitions."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.name = f"{settings.kafka.prefix}.work.azure"
        self.group = f"{settings.kafka.prefix}.worker.azure"
        self._admin = AdminClient(admin_config(settings))
        made = self._admin.create_topics([NewTopic(self.name, PLAN.total, 1)])
        made[self.name].result(30)
        self._producer = Producer(producer_config(settings))

    def write(self, *partitions: int) -> None:
        for partition in partitions:
            self._producer.produce(self.name, encode_work(work()), b"a", partition)
        assert self._producer.flush(20) == 0

    def write_many(self, partition: int, count: int) -> None:
        record = encode_work(work())
        for number in range(count):
            self._producer.produce(self.name, record, b"a", partition)
            if number % 10_000 == 0:
                self._producer.flush(20)
        assert self._producer.flush(20) == 0

    def write_in_transaction(self, *partitions: int) -> None:
        producer = Producer(
            producer_config(self.settings, **{"transactional.id": f"{self.name}-writer"})
        )
        producer.init_transactions(20)
        producer.begin_transaction()
        for partition in partitions:
            producer.produce(self.name, encode_work(work()), b"a", partition)
        producer.commit_transaction(20)

    def commit(self, partition: int, base: int, metadata: str) -> None:
        client = {"group.id": self.group, "enable.auto.commit": False}
        consumer = Consumer(consumer_config(self.settings, **client))
        place = TopicPartition(self.name, partition, base, metadata)
        consumer.commit(offsets=[place], asynchronous=False)
        consumer.close()


class Member:
    """An intake, and all that it told; `at` is where it reaches the broker."""

    def __init__(
        self,
        topic: Topic,
        name: str,
        *,
        most: int = 10_000,
        guest: bool = False,
        at: str | None = None,
    ) -> None:
        self.topic = topic
        self.book = ProgressBook()
        self.fence = CachedFence()
        self.backlog = Backlog(max_records=most, max_bytes=10**9)
        self.arrived: list[Arrival] = []
        self.told: list[tuple[str, Any]] = []
        self.rebalanced: list[tuple[float, str, int]] = []
        """When, by the monotonic clock, what, and how many partitions."""
        self.failures: list[Exception] = []
        self.unreadable = self.started = 0
        self.flushes_needed = 0
        settings = consumer_settings(topic.settings, topic.group, name)
        if guest:  # it leaves at once; one with a name keeps its place until its session is over
            del settings["group.instance.id"]
        if at is not None:
            settings["bootstrap.servers"] = at
        self.intake = Intake(
            client=consumer_config(topic.settings, **settings),
            topic=topic.name,
            lanes=PLAN,
            book=self.book,
            fence=self.fence,
            backlog=self.backlog,
            hooks=Hooks(
                arrived=self._arrived,
                dropped=lambda gone: self.told.append(("dropped", gone)),
                flush=self._flush,
                failed=self.failures.append,
                rebalanced=self._rebalanced,
                metadata_unreadable=self._count_unreadable,
            ),
        )

    def _arrived(self, batch: list[Arrival]) -> None:
        self.arrived += batch

    def _rebalanced(self, event: str, count: int) -> None:
        self.told.append((event, count))
        self.rebalanced.append((time.monotonic(), event, count))

    def _count_unreadable(self) -> None:
        self.unreadable += 1

    def _flush(self, _deadline_s: float, places: Collection[tuple[str, int]]) -> bool:
        self.told.append(("flush", frozenset(partition for _, partition in places)))
        self.flushes_needed -= 1
        return self.flushes_needed < 0

    def start(self) -> "Member":
        self.intake.start()
        return self

    def has(self, partitions: Collection[int]) -> None:
        eventually(lambda: self.intake.partitions == tuple(sorted(partitions)))

    def all_started(self) -> None:
        """As if everything that waits had been called."""
        for one in self.arrived[self.started :]:
            self.backlog.started(one)
            self.started += 1

    def places(self) -> list[tuple[int, int]]:
        return [(one.place.partition, one.place.offset) for one in self.arrived]

    def units(self) -> list[Unit]:
        """What would be committed of all that came."""
        return [
            Unit(p.topic, p.partition, p.offset, p.epoch, ())
            for p in (one.place for one in self.arrived)
        ]

    def base(self, partition: int) -> int:
        units = [unit for unit in self.units() if unit.partition == partition]
        (offset,) = self.book.preview(units).offsets
        base: int = offset.offset
        return base
