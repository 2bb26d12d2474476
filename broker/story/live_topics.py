"""Topics as they are written: live, without a group, through outages of the broker."""

import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, Self

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from broker.log.clients import consumer_config
from broker.log.kafka_errors import kafka_error
from broker.log.quick_polls import poll_at_once
from broker.records.errors import NotReadyError, WeighbridgeError
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


class LiveTopics:
    """Reads every partition of some topics read-committed; a context manager, for one thread.

    What is written after it was made is read, whatever happens meanwhile; with `since` (unix
    seconds) also what was written from then on. Raises NotReadyError at the start when the cluster
    does not answer or a topic is not there. Later outages are no error: see `reachable`.
    """

    def __init__(
        self, settings: Settings, topics: Sequence[str], *, since: float | None = None
    ) -> None:
        self.topic = topics[0]
        with LogReader(settings) as reader:
            for topic in topics:
                reader.require(topic)
            spans = [span for topic in topics for span in reader.spans(topic, since=since)]
        config = consumer_config(
            settings, **_LIMITS, **{"group.id": "weighbridge-follower", "error_cb": self._failed}
        )
        self.where = str(config["bootstrap.servers"])
        self._down = False
        self._ended: WeighbridgeError | None = None
        self._looked = time.monotonic()
        self._partitions = Counter(span.topic for span in spans)
        self._consumer = Consumer(config)
        self._consumer.assign(
            [
                TopicPartition(one.topic, one.partition, one.end if since is None else one.start)
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

    def messages(self, timeout_s: float) -> list[Any]:
        """What has come, in the order of each partition; waits for the first at most so long.

        In an outage it may take a second more. Raises WeighbridgeError when following cannot go
        on: a topic is gone, or this user may not read it any more.
        """
        batch = []
        for message in poll_at_once(self._consumer, timeout_s, _BATCH):
            if message.error() is not None:
                self._failed(message.error())
            else:
                batch.append(message)
        if self._ended is not None:
            raise self._ended
        if batch:
            self._down = False
        self._look()
        return batch

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
        for topic in self._partitions:
            self._look_at(topic)

    def _look_at(self, topic: str) -> None:
        try:
            known = self._consumer.list_topics(topic, timeout=_ANSWER_S).topics[topic]
        except KafkaException as error:
            self._looked = time.monotonic()
            self._failed(error.args[0])
            return
        self._looked = time.monotonic()
        if known.error is not None:
            raise NotReadyError(
                f"The topic {topic} is gone at {self.where}.",
                mend="Run `weighbridge topics apply`.",
                code="no_topic",
            )
        self._down = False
        grown = range(self._partitions[topic], len(known.partitions))
        if grown:
            self._consumer.incremental_assign(
                [TopicPartition(topic, number, 0) for number in grown]
            )
            self._partitions[topic] = len(known.partitions)
