"""The reading thread on the real broker: what a rebalance, a pause and a commit do to it."""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from broker.core.bitmap import encode
from broker.log.clients import admin_config, consumer_config, producer_config
from broker.log.progress_book import ProgressBook
from broker.log.units import Unit
from broker.records.errors import NotReadyError
from broker.records.work import encode_work
from broker.settings import Settings
from tests.workers.building import PLAN, work
from workers.assignment import Hooks
from workers.backlog import Backlog
from workers.fence import CachedFence
from workers.intake import Intake
from workers.job import Arrival
from workers.lag import Lag
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
    """An intake, and all that it told."""

    def __init__(self, topic: Topic, name: str, *, most: int = 10_000, guest: bool = False) -> None:
        self.topic = topic
        self.book = ProgressBook()
        self.backlog = Backlog(max_records=most, max_bytes=10**9)
        self.arrived: list[Arrival] = []
        self.told: list[tuple[str, Any]] = []
        self.failures: list[Exception] = []
        self.unreadable = self.started = 0
        self.flushes_needed = 0
        settings = consumer_settings(topic.settings, topic.group, name)
        if guest:  # it leaves at once; one with a name keeps its place until its session is over
            del settings["group.instance.id"]
        self.intake = Intake(
            client=consumer_config(topic.settings, **settings),
            topic=topic.name,
            lanes=PLAN,
            book=self.book,
            fence=CachedFence(),
            backlog=self.backlog,
            hooks=Hooks(
                arrived=self._arrived,
                dropped=lambda gone: self.told.append(("dropped", gone)),
                flush=self._flush,
                failed=self.failures.append,
                rebalanced=lambda event, count: self.told.append((event, count)),
                metadata_unreadable=self._count_unreadable,
            ),
        )

    def _arrived(self, batch: list[Arrival]) -> None:
        self.arrived += batch

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

    def base(self, partition: int) -> int:
        units = [
            Unit(p.topic, p.partition, p.offset, p.epoch, ())
            for p in (one.place for one in self.arrived)
            if p.partition == partition
        ]
        (offset,) = self.book.preview(units).offsets
        base: int = offset.offset
        return base


@pytest.fixture
def topic(settings: Settings) -> Topic:
    return Topic(settings)


@pytest.fixture
def join(topic: Topic) -> Iterator[Callable[..., Member]]:
    """Starts members, and stops those that are left."""
    with ExitStack() as left:

        def member(name: str, **given: Any) -> Member:
            one = Member(topic, name, **given)
            left.callback(one.intake.stop, 15.0)
            return one.start()

        yield member


Join = Callable[..., Member]


def test_a_partition_that_was_paused_when_it_was_taken_is_fetched_when_it_comes_back(
    topic: Topic, join: Join
) -> None:
    first = join("m-0", most=8)
    first.has(ALL)
    topic.write(*ALL * 5)
    eventually(lambda: first.intake._assignment.paused == set(ALL))  # noqa: SLF001 - what it paused
    second = join("m-1", most=8, guest=True)
    eventually(lambda: len(second.intake.partitions) == len(ALL) // 2)
    theirs = second.intake.partitions

    def nothing_waits() -> bool:
        first.all_started()
        kept = set(ALL) - set(theirs)
        return {place for place in first.places() if place[1] == 4} >= {(p, 4) for p in kept}

    eventually(nothing_waits)
    eventually(lambda: not first.intake._assignment.paused)  # noqa: SLF001 - as above
    assert second.intake.stop(15.0)
    first.has(ALL)
    back = first.intake._assignment.epoch  # noqa: SLF001 - that of what came back

    def all_come_back() -> bool:
        first.all_started()
        fresh = {one.place.partition for one in first.arrived if one.place.epoch == back}
        return fresh == set(theirs)

    eventually(all_come_back)


def test_what_is_taken_is_flushed_then_dropped_and_its_epoch_never_comes_again(
    topic: Topic, join: Join
) -> None:
    first = join("m-0")
    first.has(ALL)
    topic.write(*ALL)
    eventually(lambda: len(first.arrived) == len(ALL))
    first.flushes_needed = 3
    second = join("m-1")
    eventually(lambda: len(second.intake.partitions) == len(ALL) // 2)
    theirs = frozenset(second.intake.partitions)
    names = [name for name, _ in first.told]
    assert names.count("flush") == 4
    assert names.index("flush") < names.index("dropped") < names.index("revoked")
    assert ("flush", theirs) in first.told
    assert ("dropped", theirs) in first.told
    # Nothing was committed: the new owner does it all again, the old one nothing of it.
    eventually(lambda: {p for p, _ in second.places()} == theirs)
    topic.write(*ALL)
    eventually(lambda: len(first.arrived) == len(ALL) + len(ALL) // 2)
    eventually(lambda: len(second.arrived) == 2 * len(theirs))
    assert all(p not in theirs for p, _ in first.places()[len(ALL) :])
    units = [
        Unit(o.place.topic, o.place.partition, o.place.offset, o.place.epoch, ())
        for o in first.arrived
    ]
    assert {unit.partition for unit in first.book.live(units)} == set(ALL) - theirs


def test_transaction_markers_at_the_end_count_as_done(topic: Topic, join: Join) -> None:
    member = join("m-0")
    topic.write_in_transaction(0, 0, 0)
    eventually(lambda: len(member.arrived) == 3)
    eventually(lambda: member.base(0) == 4)


def test_what_the_commit_says_is_done_is_not_done_again(topic: Topic, join: Join) -> None:
    topic.write(*[0] * 6)
    topic.commit(0, 1, encode(1, 0b101 << 1))  # 2 and 4 are done, past the base 1
    member = join("m-0")
    eventually(lambda: member.places() == [(0, 1), (0, 3), (0, 5)])
    assert member.unreadable == 0


def test_metadata_that_cannot_be_read_are_told_and_nothing_past_the_base_is_left_out(
    topic: Topic, join: Join
) -> None:
    topic.write(*[0] * 4)
    topic.commit(0, 1, "not ours")
    member = join("m-0")
    eventually(lambda: member.places() == [(0, 1), (0, 2), (0, 3)])
    assert member.unreadable == 1


def test_what_was_never_read_counts_as_lag_also_while_it_is_paused(topic: Topic) -> None:
    topic.write(*[0] * 20, *[9] * 5)
    consumer = Consumer(consumer_config(topic.settings, **{"group.id": topic.group}))
    try:
        places = [TopicPartition(topic.name, 0, 4), TopicPartition(topic.name, 9, 0)]
        consumer.incremental_assign(places)
        consumer.pause(places)
        lag = Lag(topic.name, LANE_OF)
        expected = {"light": 16, "medium": 0, "heavy": 5, "batch": 0}
        # A cluster that is slow to answer is asked again in the next look.
        eventually(lambda: lag.by_lane(consumer, {0: 4, 9: 0}, {0, 9}) == expected)
    finally:
        consumer.close()


class Slow:
    """A consumer with a clock; asking the cluster takes it `took` seconds."""

    def __init__(self, took: float) -> None:
        self.took = took
        self.now = 100.0
        self.asked: list[int] = []

    def position(self, places: Sequence[TopicPartition]) -> list[TopicPartition]:
        return [TopicPartition(one.topic, one.partition, 10) for one in places]

    def get_watermark_offsets(
        self, place: TopicPartition, *, timeout: float, cached: bool
    ) -> tuple[int, int]:
        assert 0 < timeout < 1
        if not cached:
            self.asked.append(place.partition)
            self.now += self.took
        return 0, 15


@pytest.mark.parametrize(("took", "looks"), [(0.001, 1), (0.015, 4), (0.1, 12)])
def test_asking_for_the_lag_of_paused_partitions_never_holds_the_reading_for_long(
    took: float, looks: int
) -> None:
    consumer = Slow(took)
    lag = Lag("work", LANE_OF, lambda: consumer.now)
    starts = dict.fromkeys(ALL, 0)
    for _ in range(2):
        consumer.asked.clear()
        for _ in range(looks):
            before = consumer.now
            lag.by_lane(consumer, starts, ALL)
            assert consumer.now - before < 0.04 + took
            consumer.now += 0.5
        assert sorted(consumer.asked) == list(ALL)


def test_the_lag_of_partitions_that_are_fetched_is_never_asked_for() -> None:
    consumer = Slow(0.1)
    lag = Lag("work", LANE_OF, lambda: consumer.now)
    assert lag.by_lane(consumer, dict.fromkeys(ALL, 0), {0})["heavy"] > 0
    assert consumer.asked == [0]


def test_a_partition_that_goes_on_after_a_pause_is_fetched_at_once(topic: Topic) -> None:
    """Not a second after its queue was full, which librdkafka would wait by itself."""
    topic.write_many(0, 12_000)
    client = consumer_settings(topic.settings, topic.group, "m-0")
    consumer = Consumer(consumer_config(topic.settings, **client))
    place = TopicPartition(topic.name, 0, 0)
    try:
        consumer.assign([place])
        began, read = time.monotonic(), 0
        while read < 9_000:
            assert time.monotonic() - began < 20, f"only {read} were read"
            batch = consumer.consume(300, 0.02)
            if batch:
                read += len(batch)
                consumer.pause([place])
                consumer.resume([place])
    finally:
        consumer.close()


def test_a_full_lane_is_paused_and_the_others_are_read_on(topic: Topic, join: Join) -> None:
    member = join("m-0", most=10)
    member.has(ALL)
    topic.write(*[9] * 30)  # heavy
    eventually(lambda: member.backlog.is_full("heavy", 9, paused=False))
    eventually(lambda: member.intake._assignment.paused >= set(PLAN.partitions["heavy"]))  # noqa: SLF001 - what it paused
    before = len(member.arrived)
    topic.write(0, 9)
    eventually(lambda: (0, 0) in member.places())
    assert len(member.arrived) == before + 1

    def last_is_read() -> bool:
        member.all_started()
        return (9, 30) in member.places()

    eventually(last_is_read)


def test_a_partition_that_one_tenant_floods_pauses_alone(topic: Topic, join: Join) -> None:
    member = join("m-0", most=250)  # a hundred light ones
    member.has(ALL)
    topic.write(*[0] * 500)
    eventually(lambda: 0 in member.intake._assignment.paused)  # noqa: SLF001 - what it paused
    assert member.backlog.waiting("light") < 100
    topic.write(1, 2, 1, 2)
    eventually(lambda: {(1, 1), (2, 1)} <= set(member.places()))
    assert len(member.places()) < 104

    def all_read() -> bool:
        member.all_started()
        return len(member.places()) == 504

    eventually(all_read)
    assert len(set(member.places())) == 504


def test_a_second_process_in_the_same_slot_puts_the_first_out_with_a_word(
    topic: Topic, join: Join
) -> None:
    first = join("m-0")
    first.has(ALL)
    second = join("m-0")
    second.has(ALL)
    topic.write(0)
    eventually(lambda: first.failures)
    (failure,) = first.failures
    assert isinstance(failure, NotReadyError)
    assert failure.code == "fenced"
    assert "--slot" in failure.mend
    eventually(lambda: second.places() == [(0, 0)])
