"""A concurrent reader of every partition of the completions, read-committed, in a thread."""

import contextlib
import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Final, Self

import orjson
from confluent_kafka import Consumer, KafkaError, TopicPartition

from broker.log.clients import consumer_config
from broker.log.topic_names import TopicNames
from broker.settings import Settings

_JOIN_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class Seen:
    """A completion as it was read. `at` is the monotonic time of reading."""

    status: str
    code: str | None
    route: tuple[str, ...]
    provider: str
    lane: str
    calls: int
    partition: int
    offset: int
    at: float


class Answers:
    """Everything that was read, by prompt id; a context manager."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = TopicNames(settings.kafka.prefix).completions
        self._stopping = threading.Event()
        self._error: BaseException | None = None
        self._seen: defaultdict[str, list[Seen]] = defaultdict(list)
        self._thread = threading.Thread(target=self._read, name="answers", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(_JOIN_S)

    def ids(self) -> set[str]:
        """The prompts with at least one completion."""
        if self._error is not None:
            raise self._error
        return set(self._seen)

    def of(self, identity: str) -> list[Seen]:
        """Every completion of a prompt."""
        return list(self._seen.get(identity, ()))

    def counts(self) -> dict[str, int]:
        """How many completions each id has."""
        return {identity: len(seen) for identity, seen in list(self._seen.items())}

    def _read(self) -> None:
        try:
            consumer = Consumer(
                consumer_config(
                    self._settings,
                    **{"group.id": "oracle", "fetch.wait.max.ms": 50, "log_level": 0},
                )
            )
            with contextlib.closing(consumer):
                count = self._settings.topics.completions
                consumer.assign([TopicPartition(self._topic, number, 0) for number in range(count)])
                while not self._stopping.is_set():
                    for message in consumer.consume(500, 0.05):
                        self._take(message)
        except BaseException as error:  # noqa: BLE001 - told to whoever asks for what was read
            self._error = error

    def _take(self, message: Any) -> None:
        error: KafkaError | None = message.error()
        if error is not None:
            # The broker may be down for a while: the client goes on by itself.
            assert error.retriable() or error.code() < 0, error
            return
        data = orjson.loads(message.value())
        failure = data["error"] or {}
        self._seen[data["id"]].append(
            Seen(
                data["status"],
                failure.get("code"),
                tuple(step["reason"] for step in data["route"]),
                data["provider"],
                data["lane"],
                data["calls"],
                message.partition(),
                message.offset(),
                time.monotonic(),
            )
        )
