"""Completions as they are committed: live, without a group, through outages of the broker."""

import time
from dataclasses import dataclass, field
from typing import Any, Final, Self

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from broker.log.clients import consumer_config
from broker.log.kafka_errors import kafka_error
from broker.log.topic_names import TopicNames
from broker.records.completion import Completion, decode_completion
from broker.records.errors import BadRecordError, NotReadyError, WeighbridgeError
from broker.settings import Settings
from broker.story.log_reader import LogReader

_BATCH: Final = 500
_PROBE_EVERY_S: Final = 1.0
_LOOK_EVERY_S: Final = 30.0
_ANSWER_S: Final = 1.0
_LIMITS: Final[dict[str, Any]] = {
    "queued.max.messages.kbytes": 16_384,
    "fetch.max.bytes": 8 * 1024 * 1024,
    "fetch.wait.max.ms": 100,
    "log_level": 0,
}


@dataclass(frozen=True, slots=True)
class Followed:
    """One completion and the bytes it was read from."""

    completion: Completion
    value: bytes = field(repr=False)


class CompletionFollower:
    """Reads every partition of the completions read-committed; a context manager, for one thread.

    What is committed after it was made is read, whatever happens meanwhile; with `since` (unix
    seconds) also what was written from then on. Raises NotReadyError at the start when the cluster
    does not answer or the topic is not there. Later outages are no error: see `reachable`.
    """

    def __init__(self, settings: Settings, *, since: float | None = None) -> None:
        self.topic = TopicNames(settings.kafka.prefix).completions
        self.unreadable = 0
        """Records so far that were not in the contract's form."""
        with LogReader(settings) as reader:
            reader.require(self.topic)
            spans = reader.spans(self.topic, since=since)
        config = consumer_config(
            settings, **_LIMITS, **{"group.id": "weighbridge-follower", "error_cb": self._failed}
        )
        self.where = str(config["bootstrap.servers"])
        self._down = False
        self._ended: WeighbridgeError | None = None
        self._looked = time.monotonic()
        self._partitions = len(spans)
        self._consumer = Consumer(config)
        self._consumer.assign(
            [
                TopicPartition(self.topic, one.partition, one.end if since is None else one.start)
                for one in spans
            ]
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    @property
    def reachable(self) -> bool:
        """False from the loss of the last broker until one answers again."""
        return not self._down

    def poll(self, timeout_s: float) -> list[Followed]:
        """What has come, by time of completion; waits for the first at most so long.

        In an outage it may take a second more. Raises WeighbridgeError when following cannot go
        on: the topic is gone, or this user may not read it any more.
        """
        batch = []
        for message in self._messages(timeout_s):
            if message.error() is not None:
                self._failed(message.error())
                continue
            value = message.value() or b""
            try:
                batch.append(Followed(decode_completion(value), value))
            except BadRecordError:
                self.unreadable += 1
        if self._ended is not None:
            raise self._ended
        if batch:
            self._down = False
        self._look()
        return sorted(batch, key=lambda one: one.completion.completed_at)

    def _messages(self, timeout_s: float) -> list[Any]:
        # `consume` alone would wait the whole time for a full batch.
        first = self._consumer.poll(timeout_s)
        return [] if first is None else [first, *self._consumer.consume(_BATCH, 0)]

    def _failed(self, error: KafkaError) -> None:
        told = kafka_error(error, doing=f"following {self.topic}", where=self.where)
        if told.code == "no_topic" or error.code() == KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001 - public
            self._down = True  # `_look` finds out whether it is really gone
        elif told.code != "kafka_unreachable":
            self._ended = told

    def _look(self) -> None:
        """Whether a broker answers again, and whether the topic has grown."""
        now = time.monotonic()
        if now - self._looked < (_PROBE_EVERY_S if self._down else _LOOK_EVERY_S):
            return
        try:
            known = self._consumer.list_topics(self.topic, timeout=_ANSWER_S).topics[self.topic]
        except KafkaException as error:
            self._looked = time.monotonic()
            self._failed(error.args[0])
            return
        self._looked = time.monotonic()
        if known.error is not None:
            raise NotReadyError(
                f"The topic {self.topic} is gone at {self.where}.",
                mend="Run `weighbridge topics apply`.",
                code="no_topic",
            )
        self._down = False
        grown = range(self._partitions, len(known.partitions))
        if grown:
            self._consumer.incremental_assign(
                [TopicPartition(self.topic, number, 0) for number in grown]
            )
            self._partitions = len(known.partitions)
