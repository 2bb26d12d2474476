"""Reading topics from here to there, read-committed, in bounded memory.

A stretch of a partition ends where the partition ended when it was asked for, so every read ends,
whatever is written meanwhile.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, Self

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from broker.log.clients import consumer_config
from broker.log.committed_offsets import committed_positions
from broker.log.kafka_errors import kafka_error
from broker.log.topic_names import TopicNames
from broker.records.errors import NotReadyError
from broker.records.incoming import Headers, InputRecord
from broker.settings import Settings
from broker.story.spans import Reading, Span

REQUEST_S: Final = 10.0
STALLED_S: Final = 60.0
_BATCH: Final = 2_000
_WAIT_S: Final = 0.05
_LIMITS: Final[dict[str, Any]] = {
    # Together they bound what waits in the client, so that memory does not follow the topic.
    "queued.max.messages.kbytes": 16_384,
    "fetch.max.bytes": 8 * 1024 * 1024,
    "fetch.wait.max.ms": 50,
    "enable.partition.eof": True,
    "log_level": 0,
}
_ELECTING: Final = frozenset({KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE})

Progress = Callable[[str, int, int], None]
"""Told (topic, offsets passed, offsets in all)."""


class LogReader:
    """Reads any topic of one cluster; a context manager, for one thread.

    Every method raises NotReadyError when the cluster does not answer or the topic is not there.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        config = consumer_config(settings, **_LIMITS, **{"group.id": "weighbridge-reader"})
        self._where = str(config["bootstrap.servers"])
        self._consumer = Consumer(config)
        self._uncommitted: Consumer | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()
        if self._uncommitted is not None:
            self._uncommitted.close()

    def partitions(self, topic: str) -> int:
        """How many partitions the topic has; 0 when it is not there."""
        try:
            known = self._consumer.list_topics(topic, timeout=REQUEST_S).topics.get(topic)
        except KafkaException as error:
            raise kafka_error(error, doing="asking for the topics", where=self._where) from error
        return 0 if known is None or known.error is not None else len(known.partitions)

    def work_topics(self, names: TopicNames, configured: Iterable[str]) -> dict[str, str]:
        """The work topic of each provider, those too that are in the settings no more."""
        try:
            known = self._consumer.list_topics(timeout=REQUEST_S).topics
        except KafkaException as error:
            raise kafka_error(error, doing="asking for the topics", where=self._where) from error
        begin = names.work("")
        gone = sorted(name.removeprefix(begin) for name in known if name.startswith(begin))
        return {provider: names.work(provider) for provider in dict.fromkeys((*configured, *gone))}

    def require(self, topic: str) -> int:
        """As `partitions`, but a topic that is not there raises NotReadyError."""
        count = self.partitions(topic)
        if not count:
            raise NotReadyError(
                f"The topic {topic} is not there at {self._where}.",
                mend="Run `weighbridge topics apply`, or check kafka.prefix in the settings.",
                code="no_topic",
            )
        return count

    def spans(
        self,
        topic: str,
        *,
        since: float | None = None,
        until: float | None = None,
        settled: bool = False,
    ) -> list[Span]:
        """All that is committed now, or what was written from `since` and before `until`.

        Times are unix seconds of the records' timestamps. A topic that is not there has none.

        A transaction that is open holds back what others have committed after it. When `settled`,
        that belongs to the span: reading it waits until the transaction has ended.
        """
        count = self.partitions(topic)
        asked = self._ends() if settled else self._consumer
        try:
            bounds = {
                number: _watermarks(asked, TopicPartition(topic, number)) for number in range(count)
            }
            starts = self._at(topic, count, since)
            ends = self._at(topic, count, until)
        except KafkaException as error:
            raise kafka_error(error, doing=f"looking into {topic}", where=self._where) from error
        spans = []
        for number, (low, high) in bounds.items():
            start = low if since is None else starts.get(number, high)
            end = high if until is None else ends.get(number, high)
            spans.append(Span(topic, number, max(low, start), max(low, min(end, high))))
        return spans

    def _ends(self) -> Consumer:
        """A consumer that knows of what is not committed yet."""
        if self._uncommitted is None:
            self._uncommitted = Consumer(
                consumer_config(
                    self._settings,
                    **{
                        "group.id": "weighbridge-reader",
                        "isolation.level": "read_uncommitted",
                        "log_level": 0,
                    },
                )
            )
        return self._uncommitted

    def _at(self, topic: str, count: int, at: float | None) -> dict[int, int]:
        """The first offset at or after a time, by partition; none where nothing is that new."""
        if at is None or not count:
            return {}
        asked = [TopicPartition(topic, number, max(0, int(at * 1000))) for number in range(count)]
        found = self._consumer.offsets_for_times(asked, timeout=REQUEST_S)
        return {place.partition: place.offset for place in found if place.offset >= 0}

    def read(self, spans: Sequence[Span], progress: Progress | None = None) -> Iterator[list[Any]]:
        """The records of these stretches of ONE topic in batches, in order in each partition."""
        reading = Reading(spans)
        if not reading.left:
            return
        topic = spans[0].topic
        paused: list[TopicPartition] = []
        self._consumer.assign(
            [TopicPartition(topic, span.partition, span.start) for span in reading.left.values()]
        )
        try:
            moved = time.monotonic()
            while reading.left:
                messages = self._consumer.consume(_BATCH, _WAIT_S)
                batch, ended = reading.take(messages, lambda error: self._check(error, topic))
                if batch or ended:
                    moved = time.monotonic()
                elif time.monotonic() - moved > STALLED_S:
                    raise self._stalled(topic)
                if ended:
                    paused += [TopicPartition(topic, number) for number in ended]
                    self._consumer.pause(paused[-len(ended) :])
                if progress is not None:
                    progress(topic, reading.passed, reading.total)
                if batch:
                    yield batch
        finally:
            if paused:
                # The client remembers a pause beyond the assignment: the next read would wait.
                self._consumer.resume(paused)
            self._consumer.unassign()

    def one(self, topic: str, partition: int, offset: int) -> Any | None:
        """The record at this place, or None when there is none (any more)."""
        for span in self.spans(topic):
            if span.partition == partition and span.start <= offset < span.end:
                for batch in self.read([Span(topic, partition, offset, offset + 1)]):
                    return batch[0]
        return None

    def committed(self, group: str, topic: str) -> dict[int, tuple[int, str]]:
        """Stable committed offsets of a group with their metadata; partitions without any: none.

        Waits for offsets that a transaction in progress is about to move.
        """
        asked = [(topic, number) for number in range(self.partitions(topic))]
        if not asked:
            return {}
        config = consumer_config(self._settings, log_level=0)
        found = committed_positions(config, group, asked, REQUEST_S)
        return {
            partition: (offset, metadata)
            for (_, partition), (offset, metadata) in found.items()
            if offset >= 0
        }

    def _check(self, error: KafkaError, topic: str) -> None:
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name begins with _
            return
        if error.retriable() or error.code() == KafkaError._TRANSPORT:  # noqa: SLF001 - as above
            return  # the client tries again; `_stalled` ends it when that does not help
        raise kafka_error(error, doing=f"reading {topic}", where=self._where)

    def _stalled(self, topic: str) -> NotReadyError:
        return NotReadyError(
            f"Kafka at {self._where} gave no record of {topic} for {STALLED_S:.0f} s.",
            mend="Check the broker, and with kafka-transactions.sh whether a transaction hangs.",
            code="kafka_unreachable",
        )


def _watermarks(asked: Consumer, place: TopicPartition) -> tuple[int, int]:
    ends = time.monotonic() + REQUEST_S
    while True:
        try:
            low, high = asked.get_watermark_offsets(place, timeout=REQUEST_S)
        except KafkaException as error:
            # A topic just made, or a broker just back, names a leader that does not know it yet.
            if error.args[0].code() not in _ELECTING or time.monotonic() > ends:
                raise
            time.sleep(_WAIT_S)
        else:
            return low, high


def headers_of(message: Any) -> Headers:
    """A record's headers; none when a name is not text, as the classifier does not believe them."""
    try:
        return tuple(message.headers() or ())
    except UnicodeDecodeError:
        return ()


def input_record(message: Any) -> InputRecord:
    """A client's message as a record of ours."""
    return InputRecord(
        topic=message.topic(),
        partition=message.partition(),
        offset=message.offset(),
        timestamp_s=max(0, message.timestamp()[1]) / 1000.0,
        key=message.key(),
        value=message.value(),
        headers=headers_of(message),
    )
