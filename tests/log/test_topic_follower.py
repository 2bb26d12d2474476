"""Following a topic without a group, on a real broker."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

from broker.log.clients import admin_config, consumer_config, producer_config
from broker.log.topic_follower import Back, TopicFollower
from broker.records.errors import BadRecordError
from broker.settings import Settings
from tests.log.writing import eventually

HOUR_MS = 3_600_000


def number(message: Any) -> int | None:
    value: bytes = message.value()
    if value == b"rubbish":
        raise BadRecordError("Not a number.", mend="None.", code="no_number")
    return None if value == b"skip" else int(value)


class Topic:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.name = f"{settings.kafka.prefix}.followed"
        self.admin = AdminClient(admin_config(settings))
        self.producer = Producer(producer_config(settings))
        self.followers: list[TopicFollower[int]] = []

    def make(self, partitions: int = 2) -> None:
        self.admin.create_topics([NewTopic(self.name, partitions, 1)])[self.name].result(30)

    def partitions(self) -> int:
        """Those that have a leader."""
        found = self.producer.list_topics(self.name, 5).topics[self.name].partitions
        return sum(one.leader >= 0 for one in found.values())

    def write(self, *values: object, partition: int = 0, age_ms: int = 0) -> None:
        at = int(time.time() * 1000) - age_ms
        for value in values:
            self.producer.produce(self.name, str(value), partition=partition, timestamp=at)
        assert self.producer.flush(30) == 0

    def follow(
        self,
        back: Back | None = None,
        most: int = 1_000,
        each_turn: Callable[[], None] | None = None,
    ) -> TopicFollower[int]:
        client = consumer_config(self.settings)
        made = TopicFollower(
            client, self.name, number, back=back, most_waiting=most, each_turn=each_turn
        )
        made.start()
        self.followers.append(made)
        return made


@pytest.fixture
def topic(settings: Settings) -> Iterator[Topic]:
    made = Topic(settings)
    yield made
    for follower in made.followers:
        follower.close()


def collect(follower: TopicFollower[int], count: int) -> list[int]:
    found: list[int] = []

    def enough() -> bool:
        found.extend(follower.take(100))
        return len(found) >= count

    assert eventually(enough), found
    return found


def test_one_that_is_there_before_its_topic_reads_all_of_it_once_and_goes_on(topic: Topic) -> None:
    follower = topic.follow()
    assert not follower.caught_up
    topic.make()
    topic.write(1, 2, "rubbish", "skip", 3)
    topic.write(4, 5, partition=1)
    assert sorted(collect(follower, 5)) == [1, 2, 3, 4, 5]
    assert eventually(lambda: follower.caught_up)
    topic.write(6)
    assert collect(follower, 1) == [6]
    assert follower.take(10) == []


def test_a_full_queue_stops_the_reading_and_loses_nothing(topic: Topic) -> None:
    topic.make(1)
    topic.write(*range(3_000))
    follower = topic.follow(most=10)
    assert eventually(lambda: len(follower._waiting) >= 10)  # noqa: SLF001 - the bound itself
    assert len(follower._waiting) <= 10 + 500, "one batch over the bound at most"  # noqa: SLF001 - as above
    assert not follower.caught_up
    assert collect(follower, 3_000) == list(range(3_000))


def test_it_begins_no_further_back_than_told_by_time_and_by_count(topic: Topic) -> None:
    topic.make()
    topic.write(1, 2, age_ms=2 * HOUR_MS)
    topic.write(*range(10, 20))
    topic.write(3, partition=1, age_ms=2 * HOUR_MS)
    assert collect(topic.follow(Back(seconds=3_600)), 10) == list(range(10, 20))
    assert sorted(collect(topic.follow(Back(records=6)), 4)) == [3, 17, 18, 19]
    assert collect(topic.follow(Back(offset=10)), 2) == [18, 19]
    assert len(collect(topic.follow(), 13)) == 13


def test_each_turn_is_told_also_where_nothing_comes_or_is_there_and_may_end_it(
    topic: Topic,
) -> None:
    turns = 0

    def turn() -> None:
        nonlocal turns
        turns += 1

    follower = topic.follow(each_turn=turn)
    assert eventually(lambda: turns >= 1), "without its topic"
    topic.make()
    assert eventually(lambda: follower.caught_up)
    before = turns
    assert eventually(lambda: turns >= before + 3), "with nothing in it"
    assert follower.waiting == 0
    topic.write(1)
    assert eventually(lambda: follower.waiting == 1)
    follower.leave()
    follower.close()
    after = turns
    topic.write(2)
    assert collect(follower, 1) == [1]
    assert turns == after


def test_partitions_that_are_added_are_followed_from_their_beginning(
    topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.log.topic_follower._LOOK_S", 0.2)
    topic.make(1)
    topic.write(1)
    follower = topic.follow(Back(seconds=60))
    assert collect(follower, 1) == [1]
    topic.admin.create_partitions([NewPartitions(topic.name, 2)])[topic.name].result(30)
    assert eventually(lambda: topic.partitions() == 2)
    topic.write(2, partition=1)
    assert collect(follower, 1) == [2]
