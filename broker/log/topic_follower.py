"""Following a topic without a group: every process reads all of it, from some time back.

The records are read and decoded on a thread of its own and wait in a bounded queue for whoever
takes them; while the queue is full nothing more is fetched, so nothing is lost and memory is
bounded. After an error it goes on where it stood.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from broker.log.quick_polls import poll_at_once
from broker.records.errors import BadRecordError
from broker.telemetry.logs import get_logger

_POLL_S: Final = 0.25
_BATCH: Final = 500
_REQUEST_S: Final = 10.0
_PAUSE_S: Final = 1.0
_CLOSE_S: Final = 5.0
_LOOK_S: Final = 60.0
"""So often it is looked whether the topic has more partitions."""
_NOT_FOUND: Final = -1

T = TypeVar("T")

Decode = Callable[[Any], T | None]
"""What is made of a client's message, on the thread; None is left out. May raise BadRecordError."""


@dataclass(frozen=True, slots=True)
class Back:
    """Where following begins: so many seconds back, and not more than so many records.

    And not before `offset` of any partition. None is without that bound; the records are counted by
    offsets over all partitions together.
    """

    seconds: float | None = None
    records: int | None = None
    offset: int | None = None


class TopicFollower(Generic[T]):
    """Follows all partitions of one topic; `take` and the properties are for any thread."""

    def __init__(
        self,
        client: Mapping[str, Any],
        topic: str,
        decode: Decode[T],
        *,
        back: Back | None = None,
        most_waiting: int = 20_000,
        committed_only: bool = False,
        at_once: bool = False,
        each_turn: Callable[[], None] | None = None,
    ) -> None:
        """`client` is what `consumer_config` says; `back` None is from the beginning.

        `committed_only`: the topic's records are written in transactions. `at_once`: each record
        is taken as it comes, which costs more where many do; else they may be a quarter second old.
        `each_turn` is called on the thread after each look at the topic, also when nothing came or
        the look failed: four times a second, or every ten seconds where nobody answers.
        """
        self._topic = topic
        self._decode = decode
        self._back = back or Back()
        self._most_waiting = most_waiting
        self._at_once = at_once
        self._each_turn = each_turn
        self._client = {
            **client,
            "group.id": f"{topic}.follower",  # asked for by librdkafka, never joined
            "isolation.level": "read_committed" if committed_only else "read_uncommitted",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 200,
            "queued.max.messages.kbytes": 8_192,
        }
        self._waiting: deque[T] = deque()
        self._positions: dict[int, int] = {}
        self._behind: set[int] | None = None
        """Partitions whose end was not reached yet; None before they are known."""
        self._nothing_in: set[int] = set()
        """Partitions that had nothing to read at the start."""
        self._bad = 0
        self._closing = threading.Event()
        self._log = get_logger(topic=topic)
        self._thread = threading.Thread(target=self._run, name=f"follow-{topic}", daemon=True)

    @property
    def caught_up(self) -> bool:
        """Whether all that was there at the start was read and taken."""
        return self._behind is not None and not self._behind and not self._waiting

    @property
    def waiting(self) -> int:
        """How many records wait to be taken."""
        return len(self._waiting)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def take(self, most: int) -> list[T]:
        """Up to `most` of what waits, in each partition's order; they are the caller's now."""
        waiting = self._waiting
        return [waiting.popleft() for _ in range(min(most, len(waiting)))]

    def leave(self) -> None:
        """Stop following, and do not wait for it: for `decode` and `each_turn` too."""
        self._closing.set()

    def close(self) -> None:
        """Stop following; may take some seconds."""
        self.leave()
        if self._thread.ident is not None:
            self._thread.join(_CLOSE_S)

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self._follow()
            except KafkaException as error:
                self._log.warning("topic_unreadable", why=error.args[0].name())
                self._turn_over()
                self._closing.wait(_PAUSE_S)

    def _follow(self) -> None:
        consumer = Consumer(self._client)
        try:
            known = self._assign(consumer)
            looked = time.monotonic()
            while not self._closing.is_set():
                if len(self._waiting) >= self._most_waiting:
                    self._closing.wait(_POLL_S / 5)
                    continue
                self._take_in(self._messages(consumer))
                self._turn_over()
                if time.monotonic() - looked > _LOOK_S:
                    looked = time.monotonic()
                    if self._partitions(consumer) != known:
                        return
        finally:
            consumer.close()

    def _turn_over(self) -> None:
        if self._each_turn is not None:
            self._each_turn()

    def _messages(self, consumer: Any) -> list[Any]:
        if self._at_once:
            return poll_at_once(consumer, _POLL_S, _BATCH)
        return list(consumer.consume(_BATCH, _POLL_S))

    def _partitions(self, consumer: Any) -> set[int]:
        topic = consumer.list_topics(self._topic, timeout=_REQUEST_S).topics[self._topic]
        if topic.error is not None:  # not there yet: without partitions nothing would ever come
            raise KafkaException(topic.error)
        return set(topic.partitions)

    def _assign(self, consumer: Any) -> set[int]:
        partitions = self._partitions(consumer)
        new = partitions - set(self._positions)
        # What came with a partition that is seen for the first time later on is new altogether.
        self._positions |= (
            self._starts(consumer, new) if self._behind is None else dict.fromkeys(new, 0)
        )
        if self._behind is None:
            self._behind = partitions - self._nothing_in
        consumer.assign(
            [TopicPartition(self._topic, number, at) for number, at in self._positions.items()]
        )
        return partitions

    def _starts(self, consumer: Any, partitions: set[int]) -> dict[int, int]:
        back = self._back
        bounds = {
            number: consumer.get_watermark_offsets(
                TopicPartition(self._topic, number), timeout=_REQUEST_S
            )
            for number in partitions
        }
        starts = {number: max(low, back.offset or 0) for number, (low, _) in bounds.items()}
        if back.records is not None and partitions:
            share = back.records // len(partitions)
            starts = {number: max(starts[number], bounds[number][1] - share) for number in starts}
        if back.seconds is not None and partitions:
            since = int((time.time() - back.seconds) * 1000)
            asked = [TopicPartition(self._topic, number, since) for number in partitions]
            for place in consumer.offsets_for_times(asked, timeout=_REQUEST_S):
                if place.error is not None:
                    raise KafkaException(place.error)
                end = bounds[place.partition][1]
                # A time after the last record is told as "no offset".
                found = end if place.offset <= _NOT_FOUND else place.offset
                starts[place.partition] = max(starts[place.partition], found)
        self._nothing_in = {n for n, start in starts.items() if start >= bounds[n][1]}
        return starts

    def _take_in(self, messages: list[Any]) -> None:
        reached: list[int] = []
        for message in messages:
            error = message.error()
            if error is None:
                self._positions[message.partition()] = message.offset() + 1
                self._add(message)
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
                reached.append(message.partition())
            elif error.fatal() or not error.retriable():
                raise KafkaException(error)
        if reached and self._behind:
            self._behind = self._behind.difference(reached)

    def _add(self, message: Any) -> None:
        try:
            made = self._decode(message)
        except BadRecordError as error:
            self._bad += 1
            if self._bad & (self._bad - 1) == 0:  # the first, and then ever more seldom
                self._log.warning("bad_record", code=error.code, so_far=self._bad)
            return
        if made is not None:
            self._waiting.append(made)
