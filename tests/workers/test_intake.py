"""The reading thread on the real broker: what a rebalance, a pause and a commit do to it."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition

from broker.core.bitmap import encode
from broker.log.clients import consumer_config
from broker.records.errors import NotReadyError
from broker.settings import Settings
from tests.workers.building import PLAN
from tests.workers.members import ALL, LANE_OF, Member, Topic, eventually
from workers.lag import Lag
from workers.parts import consumer_settings


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
    assert {unit.partition for unit in first.book.live(first.units())} == set(ALL) - theirs


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
