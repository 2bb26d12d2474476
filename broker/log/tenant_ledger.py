"""Reading the tenants' ledger: the totals first, then line by line from where those end.

And writing the few lines that belong to no prompt's transaction. Reading runs on a thread of its
own, read-committed, and what was read waits in a bounded queue; while that is full nothing more is
fetched. After an error it goes on where it stood.
"""

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from broker.log.clients import consumer_config, producer_config
from broker.log.topic_names import TopicNames
from broker.records.errors import BadRecordError
from broker.records.tenants import (
    EVERYONE,
    Lent,
    Line,
    Owner,
    Totals,
    decode_line,
    decode_totals,
    encode_line,
)
from broker.settings import Settings
from broker.telemetry.logs import get_logger

_POLL_S: Final = 0.1
_BATCH: Final = 1_000
_REQUEST_S: Final = 10.0
_PAUSE_S: Final = 1.0
_CLOSE_S: Final = 5.0
MOST_WAITING: Final = 20_000

_WRITING: Final = {"message.timeout.ms": 2_000, "linger.ms": 0}
"""A line that comes much later than it was written says what is not true any more."""

Read = Totals | tuple[int, Line]
"""A tenant's totals, or a line of the ledger with its offset."""


class TenantLedger:
    """Follows the ledger; every method but `start` is quick, and for any thread.

    `on_read` is called on the thread when there is something to take.
    """

    def __init__(self, settings: Settings, on_read: Callable[[], object]) -> None:
        names = TopicNames(settings.kafka.prefix)
        self._topic, self._totals_topic = names.tenants, names.tenant_totals
        self._client = consumer_config(
            settings,
            **{
                "group.id": f"{self._topic}.reader",  # asked for by librdkafka, never joined
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 200,
            },
        )
        self._on_read = on_read
        self._waiting: deque[Read] = deque()
        self._position: int | None = None
        self._settings = settings
        self._producer: Any = None
        self._closing = threading.Event()
        self._log = get_logger(topic=self._topic)
        self._thread = threading.Thread(target=self._run, name="tenant-ledger", daemon=True)

    @property
    def runs(self) -> bool:
        """Whether it was started."""
        return self._thread.ident is not None

    def start(self) -> None:
        """Begin, from the totals."""
        self._producer = Producer(producer_config(self._settings, **_WRITING))
        self._thread.start()

    def say(self, line: Owner | Lent) -> None:
        """Write a line of no prompt; nobody waits for it, and what fails is not written later.

        Of one thread.
        """
        if self._producer is not None:
            with suppress(BufferError):
                self._producer.produce(self._topic, encode_line(line), partition=0)
            self._producer.poll(0)

    def take(self, most: int) -> list[Read]:
        """Up to `most` of what was read, in order; it is the caller's now."""
        waiting = self._waiting
        return [waiting.popleft() for _ in range(min(most, len(waiting)))]

    def close(self) -> None:
        """Stop reading; may take some seconds."""
        self._closing.set()
        if self.runs:
            self._thread.join(_CLOSE_S)

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                if self._position is None:
                    self._position = self._read_totals()
                self._follow()
            except KafkaException as error:
                self._log.warning("ledger_unreadable", why=error.args[0].name())
                self._closing.wait(_PAUSE_S)

    def _read_totals(self) -> int:
        """Put the newest totals of each tenant into the queue; where to read the ledger from."""
        newest: dict[str, Totals] = {}
        consumer = Consumer(self._client)
        try:
            _require(consumer, self._totals_topic)
            consumer.assign([TopicPartition(self._totals_topic, 0, 0)])
            ended = False
            while not ended and not self._closing.is_set():
                for message in consumer.consume(_BATCH, _POLL_S):
                    if _is_end(message):
                        ended = True
                    elif message.value() is not None:
                        self._keep(newest, message.value())
        finally:
            consumer.close()
        covered = newest.pop(EVERYONE, None)
        self._waiting.extend(newest.values())
        return 0 if covered is None else covered.offset

    def _keep(self, newest: dict[str, Totals], value: bytes) -> None:
        try:
            totals = decode_totals(value)
        except BadRecordError as error:
            self._log.warning("bad_record", code=error.code)
            return
        newest[totals.tenant] = totals

    def _follow(self) -> None:
        consumer = Consumer(self._client)
        try:
            _require(consumer, self._topic)
            consumer.assign([TopicPartition(self._topic, 0, self._position or 0)])
            while not self._closing.is_set():
                if len(self._waiting) >= MOST_WAITING:
                    self._closing.wait(_POLL_S)
                    continue
                first = consumer.poll(_POLL_S)  # `consume` alone waits for a full batch
                if first is not None:
                    for message in (first, *consumer.consume(_BATCH, 0)):
                        self._take_in(message)
                    self._on_read()
        finally:
            consumer.close()

    def _take_in(self, message: Any) -> None:
        offset = message.offset()
        if _is_end(message):
            # It stands behind the markers of transactions, which are no records.
            self._position = max(self._position or 0, offset)
            return
        try:
            self._waiting.append((offset, decode_line(message.value())))
        except BadRecordError as error:
            self._log.warning("bad_record", code=error.code, offset=offset)
        self._position = offset + 1


def _require(consumer: Any, topic: str) -> None:
    found = consumer.list_topics(topic, timeout=_REQUEST_S).topics[topic]
    if found.error is not None:  # not there yet: nothing would ever come
        raise KafkaException(found.error)


def _is_end(message: Any) -> bool:
    """Whether this is the end of the partition; raises KafkaException for an error that stays."""
    error = message.error()
    if error is None:
        return False
    if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
        return True
    raise KafkaException(error)
