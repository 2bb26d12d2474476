"""Topics on a real broker: what is planned is what is there, and what it protects holds."""

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from broker.log.clients import admin_config, consumer_config, producer_config
from broker.log.topic_names import TopicNames
from broker.log.topics import apply_topics, plan_changes
from broker.records.errors import NotReadyError, UsageError
from broker.settings import Settings, load_settings

WEEK_MS = 7 * 86_400_000


def produce(settings: Settings, topic: str, value: bytes, **extra: Any) -> KafkaError | None:
    """Send one record; the broker's answer."""
    answers: list[KafkaError | None] = []
    when = extra.pop("timestamp", 0)
    producer = Producer(producer_config(settings, **extra))
    producer.produce(
        topic, value, timestamp=when, on_delivery=lambda error, _: answers.append(error)
    )
    assert producer.flush(30) == 0
    return answers[0]


def wait_until_seen(settings: Settings, admin: Mapping[str, Any], action: str) -> None:
    """Brokers tell of a change a little after they acknowledged it."""
    ends = time.monotonic() + 20
    while action not in {change.action for change in plan_changes(settings, admin)}:
        assert time.monotonic() < ends
        time.sleep(0.02)


def with_topics(settings: Settings, **counts: int) -> Settings:
    kafka = settings.kafka.model_dump(exclude_none=True)
    return load_settings(kafka=kafka, topics=counts)


def test_planned_made_grown_mended_and_then_as_planned(settings: Settings) -> None:
    admin = admin_config(settings)
    small = with_topics(settings, prompts=2, work=4, completions=2, calls=1, chunks=1)
    planned = plan_changes(small, admin)
    assert {change.action for change in planned} == {"create"}
    assert apply_topics(small, admin) == planned
    assert apply_topics(small, admin) == ()

    grown = apply_topics(settings, admin)
    names = TopicNames(settings.kafka.prefix)
    assert {change.action for change in grown} == {"grow"}
    assert names.work("azure") in {change.topic for change in grown}
    assert apply_topics(settings, admin) == ()

    client = AdminClient(admin)
    spoil = ConfigEntry(
        "message.timestamp.type",
        "CreateTime",
        incremental_operation=AlterConfigOpType.SET,
    )
    spoilt = ConfigResource(ResourceType.TOPIC, names.prompts, incremental_configs=[spoil])
    for done in client.incremental_alter_configs([spoilt]).values():
        done.result(timeout=30)
    wait_until_seen(settings, admin, "configure")
    (mended,) = apply_topics(settings, admin)
    assert mended.action == "configure"
    assert mended.config["message.timestamp.type"] == "LogAppendTime"
    assert apply_topics(settings, admin) == ()


def test_a_work_topic_with_partitions_past_the_lanes_is_refused_and_nothing_is_made(
    settings: Settings,
) -> None:
    admin = admin_config(settings)
    names = TopicNames(settings.kafka.prefix)
    client = AdminClient(admin)
    for made in client.create_topics([NewTopic(names.work("azure"), 16, 1)]).values():
        made.result(timeout=30)
    wait_until_seen(settings, admin, "refuse")
    with pytest.raises(UsageError, match=r"topics\.work = 16"):
        apply_topics(settings, admin)
    ours = [name for name in client.list_topics(timeout=30).topics if name.startswith(names.prefix)]
    assert ours == [names.work("azure")]
    apply_topics(with_topics(settings, work=16), admin)


def test_two_that_apply_at_once_both_succeed(settings: Settings) -> None:
    admin = admin_config(settings)
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(apply_topics, settings, admin) for _ in range(2)]:
            done.result(timeout=60)
    assert plan_changes(settings, admin) == ()


def test_the_time_of_acceptance_cannot_be_forged(settings: Settings) -> None:
    apply_topics(settings, admin_config(settings))
    prompts = TopicNames(settings.kafka.prefix).prompts
    before = time.time()
    assert produce(settings, prompts, b"hello", timestamp=1_000) is None
    reader = Consumer(consumer_config(settings, **{"group.id": settings.kafka.prefix}))
    reader.assign([TopicPartition(prompts, n, 0) for n in range(12)])
    record = reader.poll(30)
    reader.close()
    assert record is not None
    assert before - 5 < record.timestamp()[1] / 1000 < time.time() + 5


def test_a_prompt_s_limit_counts_its_plain_bytes_and_work_has_room_for_more(
    settings: Settings,
) -> None:
    apply_topics(settings, admin_config(settings))
    names = TopicNames(settings.kafka.prefix)
    largest = b"x" * 1_040_000
    assert produce(settings, names.prompts, largest) is None
    # Compressed to a few kB, yet 4 MB for whoever reads it.
    refused = produce(settings, names.prompts, largest * 4, **{"compression.type": "zstd"})
    assert refused is not None
    assert refused.code() == KafkaError.MSG_SIZE_TOO_LARGE
    assert (
        produce(settings, names.work("azure"), largest * 6, **{"compression.type": "none"}) is None
    )


def test_a_broker_that_is_not_there_is_one_sentence_and_exit_code_3() -> None:
    settings = load_settings(kafka={"bootstrap": "127.0.0.1:1"})
    admin = admin_config(settings, log_level=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("broker.log.topics.REQUEST_S", 1.0)
        with pytest.raises(NotReadyError) as told:
            plan_changes(settings, admin)
    assert (told.value.code, told.value.exit_code) == ("kafka_unreachable", 3)
    assert "127.0.0.1:1" in told.value.message
