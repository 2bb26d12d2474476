"""Answers the prompts of a test as the classifier and workers would, without them."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import orjson
from confluent_kafka import Consumer, TopicPartition

from broker.log.clients import consumer_config
from broker.log.topic_names import TopicNames
from broker.records.completion import Completion
from broker.settings import Settings
from tests.story.seeding import Seeder, completion_of

Answer = Callable[[str, dict[str, Any]], Completion | None]


def echo(identity: str, fields: dict[str, Any]) -> Completion | None:
    """The prompt in capitals."""
    given = {"tenant": fields.get("tenant", "default"), "text": fields["prompt"].upper()}
    return completion_of(identity, time.time(), **given)


@contextmanager
def answering(settings: Settings, answer: Answer = echo) -> Iterator[list[dict[str, Any]]]:
    """Meanwhile each prompt gets what `answer` says; yields the prompts that came."""
    came: list[dict[str, Any]] = []
    over = threading.Event()
    at_work = threading.Thread(target=_work, args=(settings, answer, came, over))
    at_work.start()
    try:
        yield came
    finally:
        over.set()
        at_work.join(20)


def _work(
    settings: Settings, answer: Answer, came: list[dict[str, Any]], over: threading.Event
) -> None:
    topic = TopicNames(settings.kafka.prefix).prompts
    consumer = Consumer(consumer_config(settings, **{"group.id": "test-answering"}))
    consumer.assign([TopicPartition(topic, n, 0) for n in range(settings.topics.prompts)])
    seeder = Seeder(settings)
    try:
        while not over.is_set():
            message = consumer.poll(0.05)
            if message is None or message.error() is not None:
                continue
            fields = orjson.loads(message.value())
            came.append(fields)
            made = answer(message.key().decode(), fields)
            if made is not None:
                seeder.completion(made)
                seeder.flush()
    finally:
        consumer.close()
