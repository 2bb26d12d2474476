"""Cancels on a real broker: written, followed from a day back, and told once."""

import threading
import time
from collections.abc import Iterator

import pytest
from confluent_kafka import Producer

from broker.log.cancel_reader import CancelReader
from broker.log.clients import producer_config
from broker.log.control_writer import write_cancels
from broker.log.topic_names import TopicNames
from broker.records.control import Cancel
from broker.records.errors import NotReadyError
from broker.settings import Settings
from tests.faults.deployment import wait_until
from tests.story.seeding import small


@pytest.fixture
def made(settings: Settings) -> Settings:
    return small(settings)


@pytest.fixture
def told() -> threading.Event:
    return threading.Event()


@pytest.fixture
def reader(made: Settings, told: threading.Event) -> Iterator[CancelReader]:
    reader = CancelReader(made, told.set)
    yield reader
    reader.close()


def cancel(settings: Settings, *ids: str) -> None:
    # What the asker's clock says is of no account.
    write_cancels(settings, [Cancel(one, 0.0, "test") for one in ids])


def test_those_that_were_there_and_those_that_come_are_known(
    made: Settings, reader: CancelReader, told: threading.Event
) -> None:
    accepted = time.time() - 5
    cancel(made, "a", "b")
    producer = Producer(producer_config(made))
    for value in (b"{", b'{"type": "drain"}', None):
        producer.produce(TopicNames(made.kafka.prefix).control, value, b"x")
    assert producer.flush(30) == 0
    reader.start()
    assert reader.wait_caught_up(30)
    assert told.wait(10)
    assert reader.take() == {"a", "b"}
    assert reader.take() == set()
    assert reader.cancels.covers("a", accepted)
    assert not reader.cancels.covers("a", time.time() + 60)
    told.clear()
    cancel(made, "c", "a")
    assert told.wait(30)
    heard: set[str] = set()

    def both() -> bool:
        heard.update(reader.take())
        return heard == {"a", "c"}

    wait_until(both, 30, "both are heard")
    assert reader.cancels.covers("c", accepted)


def test_a_start_does_not_wait_for_ever_for_a_topic_that_is_not_there(settings: Settings) -> None:
    reader = CancelReader(settings)
    reader.start()
    assert not reader.wait_caught_up(0.3)
    reader.close()


def test_a_cancel_that_cannot_be_written_is_said(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.log.control_writer.WRITTEN_S", 1.0)
    away = settings.at("127.0.0.1:1")
    with pytest.raises(NotReadyError) as failed:
        cancel(away, "a")
    assert "127.0.0.1:1" in str(failed.value)
