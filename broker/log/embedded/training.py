"""A short load like ours, for the run from which Java keeps its loaded and profiled classes."""

import contextlib
import time
from typing import Any

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

_IN, _OUT, _GROUP = "training.in", "training.out", "training"
_PARTITIONS = 12
_BATCH = 50
_STEP_S = 10.0
_PAYLOAD = b'{"id":"0123456789abcdef","prompt":"' + b"word " * 80 + b'"}'


def train(bootstrap: str, *, seconds: float) -> int:
    """Read, and write in transactions with offsets, for so long; returns how many transactions.

    The broker must be a throw-away one. Raises KafkaException when it fails.
    """
    # Its end is part of the run: what the clients say about it concerns nobody.
    common: dict[str, Any] = {"bootstrap.servers": bootstrap, "log_level": 0}
    admin = AdminClient(dict(common))
    for made in admin.create_topics([NewTopic(t, _PARTITIONS, 1) for t in (_IN, _OUT)]).values():
        made.result(timeout=_STEP_S)
    prompts = Producer({**common, "linger.ms": 1, "enable.idempotence": True})
    writers = [_writer(common, slot) for slot in range(2)]
    reader = Consumer(
        {
            **common,
            "group.id": _GROUP,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "partition.assignment.strategy": "cooperative-sticky",
        }
    )
    reader.subscribe([_IN])
    done, ends = 0, time.monotonic() + seconds
    try:
        while time.monotonic() < ends:
            for number in range(_BATCH):
                prompts.produce(_IN, _PAYLOAD, partition=number % _PARTITIONS)
            prompts.flush(_STEP_S)
            records = reader.consume(_BATCH, timeout=0.1)
            if records and reader.assignment():
                _transact(writers[done % 2], reader, len(records), done)
                done += 1
    finally:
        with contextlib.suppress(KafkaException):
            reader.close()
    return done


def _writer(common: dict[str, Any], slot: int) -> Producer:
    writer = Producer(
        {
            **common,
            "transactional.id": f"{_GROUP}-{slot}",
            "retry.backoff.ms": 2,
            "retry.backoff.max.ms": 10,
        }
    )
    writer.init_transactions(_STEP_S)
    return writer


def _transact(writer: Producer, reader: Consumer, count: int, number: int) -> None:
    writer.begin_transaction()
    for index in range(count):
        writer.produce(_OUT, _PAYLOAD, partition=(number + index % 4) % _PARTITIONS)
    offsets = [
        TopicPartition(at.topic, at.partition, at.offset, "training")
        for at in reader.position(reader.assignment())
        if at.offset >= 0
    ]
    writer.send_offsets_to_transaction(offsets, reader.consumer_group_metadata(), _STEP_S)
    writer.commit_transaction(_STEP_S)
