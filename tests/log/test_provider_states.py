"""The workers' states and the call journal, on a real broker."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace

import pytest
from confluent_kafka import Consumer, KafkaError, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from broker.log.acknowledged_producer import AcknowledgedProducer
from broker.log.call_journal import CallJournal
from broker.log.clients import admin_config, consumer_config, producer_config
from broker.log.provider_states import FORGET_S, ProviderStatesReader, ProviderStatesWriter
from broker.log.topic_names import TopicNames
from broker.records.calls import CallEvent, decode_call
from broker.records.errors import WeighbridgeError
from broker.records.providers import ProviderState
from broker.settings import Settings, load_settings
from tests.log.writing import eventually

CALL_PARTITIONS = 2
Talk = Callable[[AcknowledgedProducer], Awaitable[None]]


def state(worker: str, at: float | None = None, provider: str = "azure") -> ProviderState:
    return ProviderState(
        provider=provider,
        worker=worker,
        at=round(at or time.time(), 3),
        breaker="closed",
        in_flight=1,
        slots=4,
        waiting=2,
        waiting_weight=300,
        speed=50.0,
        waiting_by_lane={"light": 2},
        in_flight_by_lane={"light": 1},
    )


def make(settings: Settings, topic: str, partitions: int, **config: str) -> None:
    admin = AdminClient(admin_config(settings))
    admin.create_topics([NewTopic(topic, partitions, 1, config=config)])[topic].result(30)


def talk(settings: Settings, act: Talk) -> None:
    async def main() -> None:
        producer = AcknowledgedProducer(producer_config(settings))
        try:
            await act(producer)
        finally:
            await producer.close(20)

    asyncio.run(main())


@pytest.fixture
def reader(settings: Settings) -> Iterator[ProviderStatesReader]:
    found = ProviderStatesReader(settings)
    found.start()
    yield found
    found.close()


def publish(settings: Settings, *states: ProviderState, retire: tuple[bytes, ...] = ()) -> None:
    async def act(producer: AcknowledgedProducer) -> None:
        writer = ProviderStatesWriter(producer, TopicNames(settings.kafka.prefix).providers)
        for one in states:
            writer.publish(one)
        for key in retire:
            writer.retire(key)

    talk(settings, act)


def test_a_reader_that_is_there_before_its_topic_shows_the_newest_of_each_worker(
    settings: Settings, reader: ProviderStatesReader
) -> None:
    assert reader.snapshot() == {}
    make(settings, TopicNames(settings.kafka.prefix).providers, 1, **{"cleanup.policy": "compact"})
    old, new = state("w-0", time.time() - 5), state("w-0")
    publish(settings, old, state("w-1"), new, state("g-0", provider="google"))
    assert eventually(lambda: set(reader.snapshot()) == {"azure", "google"})
    assert new in reader.snapshot()["azure"]
    assert old not in reader.snapshot()["azure"]
    assert reader.snapshot() is reader.snapshot(), "the same while nothing changed"


def test_a_worker_that_leaves_or_falls_silent_is_forgotten_and_rubbish_harms_nobody(
    settings: Settings, reader: ProviderStatesReader
) -> None:
    topic = TopicNames(settings.kafka.prefix).providers
    make(settings, topic, 1, **{"cleanup.policy": "compact"})
    leaving = state("leaving")
    silent = state("silent", time.time() - FORGET_S - 5)
    publish(settings, leaving, silent, state("stays"))

    async def rubbish(producer: AcknowledgedProducer) -> None:
        await producer.send(topic, b"{not a state", key=b"azure/rubbish")

    talk(settings, rubbish)
    publish(settings, retire=(leaving.key,))

    def workers() -> set[str]:
        return {one.worker for one in reader.snapshot().get("azure", ())}

    assert eventually(lambda: workers() == {"stays"})
    publish(settings, retire=(b"azure/stays",))
    assert eventually(lambda: reader.snapshot().get("azure") == ()), "shown as having none"


def test_a_worker_is_forgotten_by_its_silence_alone(
    settings: Settings, reader: ProviderStatesReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = TopicNames(settings.kafka.prefix).providers
    make(settings, topic, 1, **{"cleanup.policy": "compact"})
    publish(settings, state("silent", time.time() - FORGET_S / 2))
    assert eventually(lambda: len(reader.snapshot().get("azure", ())) == 1)
    monkeypatch.setattr("broker.log.provider_states.FORGET_S", FORGET_S / 2)
    assert eventually(lambda: reader.snapshot().get("azure") == ())


def call(identity: str, event: str = "started") -> CallEvent:
    return CallEvent(
        id=identity,
        tenant="default",
        provider="azure",
        model="chat-small",
        attempt=1,
        event="ended" if event == "ended" else "started",
        at=1_795_000_000.5,
    )


def read_calls(settings: Settings, topic: str, count: int) -> list[CallEvent]:
    config = {"group.id": "calls", "isolation.level": "read_uncommitted"}
    consumer = Consumer(consumer_config(settings, **config))
    consumer.assign([TopicPartition(topic, number, 0) for number in range(CALL_PARTITIONS)])
    found: list[CallEvent] = []

    def all_there() -> bool:
        messages = consumer.consume(100, 0.1)
        found.extend(decode_call(one.value()) for one in messages if one.error() is None)
        return len(found) >= count

    assert eventually(all_there)
    consumer.close()
    return found


def test_a_start_is_in_the_log_once_it_was_awaited_and_ends_are_there_after_the_close(
    settings: Settings,
) -> None:
    topic = TopicNames(settings.kafka.prefix).calls
    make(settings, topic, CALL_PARTITIONS)
    seen: list[list[CallEvent]] = []

    async def act(producer: AcknowledgedProducer) -> None:
        journal = CallJournal(producer, topic, CALL_PARTITIONS)
        await asyncio.gather(*(journal.started(call(f"c-{number}")) for number in range(200)))
        loop = asyncio.get_running_loop()
        seen.append(await loop.run_in_executor(None, read_calls, settings, topic, 200))
        for number in range(200):
            journal.ended(replace(call(f"c-{number}", "ended"), outcome="ok", http_status=200))

    talk(settings, act)
    assert {event.id for event in seen[0]} == {f"c-{number}" for number in range(200)}
    found = read_calls(settings, topic, 400)
    assert sorted(event.event for event in found) == ["ended"] * 200 + ["started"] * 200


def test_a_journal_that_cannot_be_written_says_so_in_time_and_to_nobody_who_does_not_wait(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.log.acknowledged_producer.DELIVERY_S", 1.0)
    away = load_settings(kafka={"bootstrap": "127.0.0.1:9", "prefix": settings.kafka.prefix})
    failures: list[BaseException] = []

    async def main() -> None:
        producer = AcknowledgedProducer(producer_config(away, log_level=0))
        journal = CallJournal(producer, "calls", 1)
        journal.ended(call("unheard", "ended"))
        try:
            await asyncio.wait_for(asyncio.ensure_future(journal.started(call("c"))), 20)
        except WeighbridgeError as error:
            failures.append(error)
        await producer.close(5)

    asyncio.run(main())
    assert [getattr(error, "code", "") for error in failures] == ["kafka_unreachable"]


def test_a_full_queue_is_a_failure_at_once_and_not_a_wait(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.log.acknowledged_producer.MOST_WAITING", 5)
    away = load_settings(kafka={"bootstrap": "127.0.0.1:9", "prefix": settings.kafka.prefix})

    async def main() -> list[BaseException | None]:
        producer = AcknowledgedProducer(producer_config(away, log_level=0))
        sent = [producer.send("t", b"x") for _ in range(8)]
        failed = [one.exception() for one in sent if one.done()]
        for one in sent:
            one.cancel()
        await producer.close(0.1)
        return failed

    failed = asyncio.run(main())
    assert len(failed) == 3
    assert "wait for Kafka" in str(failed[0])
    assert KafkaError._QUEUE_FULL  # noqa: SLF001 - the condition behind it has a name
