"""What a crash or a stall of the broker may do to transactions that are ending just then.

Each failed before the start began with `fencing`: Kafka's own coordinator leaves the markers of a
transaction out while no partition has a leader, and calls it complete. The next commit of the same
producer then commits what had been rolled back.
"""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from broker.log.embedded import EmbeddedKafka

START_S = 60.0
TIMEOUT_MS = 1_000
"""Of the transactions: over while the broker is away, so that its first act is to end them."""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedKafka]:
    kafka = EmbeddedKafka(tmp_path / "kafka", profile="short", owned=True)
    yield kafka
    kafka.stop()


def transactional(bootstrap: str) -> Producer:
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "transactional.id": "one",
            "transaction.timeout.ms": TIMEOUT_MS,
            "log_level": 0,
        }
    )
    producer.init_transactions(30)
    return producer


def committed(bootstrap: str) -> list[bytes | None]:
    """Everything that a read-committed reader finds, up to the last stable offset."""
    reader = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "g",
            "log_level": 0,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
        }
    )
    reader.assign([TopicPartition("t", 0, 0)])
    found: list[bytes | None] = []
    ends = time.monotonic() + 30
    try:
        while time.monotonic() < ends:
            for message in reader.consume(100, 0.5):
                if message.error() is None:
                    found.append(message.value())
                    continue
                assert message.error().code() == KafkaError._PARTITION_EOF  # noqa: SLF001 - its public name
                return found
    finally:
        reader.close()
    raise AssertionError("the reader did not come to an end")


def open_transaction(bootstrap: str, value: bytes) -> Producer:
    """A record that is written and in no committed transaction."""
    producer = transactional(bootstrap)
    producer.begin_transaction()
    producer.produce("t", value, partition=0)
    assert producer.flush(30) == 0
    return producer


@pytest.mark.parametrize("ending", ["crash", "stop"])
def test_what_was_rolled_back_while_the_broker_came_back_stays_so(
    broker: EmbeddedKafka, ending: str
) -> None:
    bootstrap = broker.start(START_S).bootstrap
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    admin.create_topics([NewTopic("t", 1, 1)])["t"].result(30)
    abandoned = open_transaction(bootstrap, b"rolled back")
    if ending == "crash":
        broker.kill()
    else:
        broker.stop()
    time.sleep(TIMEOUT_MS / 1000)  # the transaction's time is over when the broker comes back
    assert broker.start(START_S).bootstrap == bootstrap
    successor = transactional(bootstrap)
    successor.begin_transaction()
    successor.produce("t", b"committed", partition=0)
    successor.commit_transaction(30)
    assert committed(bootstrap) == [b"committed"]
    del abandoned


def test_a_broker_that_stalls_is_not_taken_for_dead(broker: EmbeddedKafka) -> None:
    """Else its partitions have no leader for a moment, and markers are left out."""
    running = broker.start(START_S)
    os.kill(running.pid, signal.SIGSTOP)
    time.sleep(6.0)  # longer than any session that would make a restart quick
    os.kill(running.pid, signal.SIGCONT)
    admin = AdminClient({"bootstrap.servers": running.bootstrap, "log_level": 0})
    admin.create_topics([NewTopic("t", 1, 1)])["t"].result(30)
    time.sleep(1.0)  # the controller looks at sessions several times a second
    assert "Fencing broker" not in broker.files.log.read_text()
