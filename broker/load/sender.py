"""Sends prompts to the partition where their id is at home, and keeps count of what arrived."""

from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Any, Final, Self

import orjson
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from broker.core.dedupe import home_partition
from broker.log.clients import producer_config
from broker.log.kafka_errors import kafka_error
from broker.log.topic_names import TopicNames
from broker.records.errors import NotReadyError, UsageError, WeighbridgeError
from broker.records.incoming import Headers
from broker.settings import Settings

MAX_IN_FLIGHT: Final = 10_000
DELIVERY_S: Final = 120.0
_REQUEST_S: Final = 10.0
_WAIT_S: Final = 0.1
_SERVE_EVERY: Final = 64
_NAMED: Final = 5
_MOST_KB: Final = 256 * 1024

Acknowledged = Callable[[str, int, int], None]
"""Told (id, partition, offset) of a prompt that Kafka has accepted."""


class DeliveryFailedError(WeighbridgeError):
    """Kafka did not acknowledge these prompts. `ids` are all of them, `reason` the first's."""

    default_code = "delivery_failed"

    def __init__(self, ids: Sequence[str], reason: str) -> None:
        named = ", ".join(ids[:_NAMED]) + (", …" if len(ids) > _NAMED else "")
        super().__init__(
            f"Kafka did not accept {len(ids):,} prompt{'s' * (len(ids) > 1)} ({named}): {reason}.",
            mend="Send again under the same id: what did arrive is not answered twice.",
        )
        self.ids = tuple(ids)
        self.reason = reason


class PromptSender:
    """One idempotent producer; a context manager, for one thread.

    At most `max_in_flight` prompts wait for their acknowledgement: `send` waits for room, no
    longer than `delivery_s`, after which a prompt that is not acknowledged has failed.
    `on_acknowledged` is called from `send`, `poll` and `flush`.

    Those three raise DeliveryFailedError for prompts that failed since the last call, each of
    them once; the sender goes on after it. Raises NotReadyError at the start when the cluster does
    not answer or the topic is not there.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        max_in_flight: int = MAX_IN_FLIGHT,
        delivery_s: float = DELIVERY_S,
        on_acknowledged: Acknowledged | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """`options` are librdkafka's own names, for who measures them; they win."""
        limits = {
            "queue.buffering.max.messages": max_in_flight,
            "queue.buffering.max.kbytes": _MOST_KB,
            "message.timeout.ms": int(delivery_s * 1000),
            "log_level": 0,
            **(options or {}),
        }
        config = producer_config(settings, **limits)
        self.topic = TopicNames(settings.kafka.prefix).prompts
        self._where = str(config["bootstrap.servers"])
        self._producer = _producer(config)
        self._delivery_s = delivery_s
        self._on_acknowledged = on_acknowledged
        self._failed: list[tuple[str, KafkaError]] = []
        self._failures = 0
        self.sent = 0
        """Prompts handed over so far."""
        self.acknowledged = 0
        """Prompts that Kafka has accepted."""
        self.partitions = self._count_partitions()
        """Of the prompts' topic, when the sender began."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def in_flight(self) -> int:
        """Prompts handed over whose acknowledgement has not come."""
        return self.sent - self.acknowledged - self._failures

    def send(self, identity: str, fields: Mapping[str, Any], headers: Headers = ()) -> None:
        """Send a prompt's JSON with this id in it; returns before it is acknowledged.

        Raises UsageError when the fields hold what JSON cannot say.
        """
        value = {"id": identity, **fields}
        value["id"] = identity
        try:
            encoded = orjson.dumps(value)
        except orjson.JSONEncodeError as error:
            raise UsageError(
                f"The prompt {identity} cannot be written as JSON.",
                mend="Its text must be UTF-8 and its numbers of 64 bits.",
            ) from error
        self.send_value(identity, encoded, headers)

    def send_value(self, identity: str, value: bytes, headers: Headers = ()) -> None:
        """As `send`, with a value that is encoded and names the same id."""
        partition = home_partition(identity, self.partitions)
        if self.sent % _SERVE_EVERY == 0 or self._failed:
            self.poll()
        ends: float | None = None
        while True:
            try:
                self._producer.produce(
                    self.topic,
                    value,
                    identity.encode(),
                    partition,
                    headers=list(headers) or None,
                    on_delivery=self._delivered,
                )
            except BufferError:
                now = monotonic()
                ends = ends or now + self._delivery_s + _REQUEST_S
                if now > ends:
                    raise DeliveryFailedError([identity], "no room came free") from None
                self.poll(_WAIT_S)
            except KafkaException as error:
                raise self._refused(identity, error) from error
            else:
                self.sent += 1
                return

    def poll(self, timeout_s: float = 0.0) -> None:
        """Take acknowledgements that have come; waits for the first at most so long."""
        self._producer.poll(timeout_s)
        self._raise_failed()

    def flush(self, deadline_s: float = DELIVERY_S) -> None:
        """Wait until all is acknowledged; raises NotReadyError when it is not in time."""
        ends = monotonic() + deadline_s
        while self._producer.flush(min(_WAIT_S, max(0.0, ends - monotonic()))):
            self._raise_failed()
            if monotonic() > ends:
                raise NotReadyError(
                    f"Kafka at {self._where} has not acknowledged {self.in_flight:,} prompts "
                    f"within {deadline_s:.0f} s.",
                    mend="Check the broker; sending again under the same ids is safe.",
                    code="kafka_unreachable",
                )
        self._raise_failed()

    def close(self) -> None:
        """Give up what is not acknowledged; nothing after a `flush`."""
        if len(self._producer):
            self._producer.purge()
            self._producer.poll(0)

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        identity = (message.key() or b"").decode()
        if error is not None:
            self._failed.append((identity, error))
            self._failures += 1
            return
        self.acknowledged += 1
        if self._on_acknowledged is not None:
            self._on_acknowledged(identity, message.partition() or 0, message.offset() or 0)

    def _raise_failed(self) -> None:
        if self._failed:
            failed, self._failed = self._failed, []
            raise DeliveryFailedError([name for name, _ in failed], _reason(failed[0][1]))

    def _refused(self, identity: str, error: KafkaException) -> WeighbridgeError:
        told = error.args[0]
        if told.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            return DeliveryFailedError([identity], _reason(told))
        return kafka_error(error, doing=f"sending {identity}", where=self._where)

    def _count_partitions(self) -> int:
        try:
            known = self._producer.list_topics(self.topic, timeout=_REQUEST_S).topics[self.topic]
        except KafkaException as error:
            raise kafka_error(error, doing="asking for the topics", where=self._where) from error
        if known.error is not None or not known.partitions:
            raise NotReadyError(
                f"The topic {self.topic} is not there at {self._where}.",
                mend="Run `weighbridge topics apply`, or check kafka.prefix in the settings.",
                code="no_topic",
            )
        return len(known.partitions)


def _producer(config: dict[str, Any]) -> Producer:
    try:
        return Producer(config)
    except KafkaException as error:
        raise UsageError(
            f"Kafka's client refuses its settings: {error.args[0].str()}.",
            mend="Check [kafka.client] in the settings.",
        ) from error


def _reason(error: KafkaError) -> str:
    if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
        return "it is larger than the topic takes"
    if error.code() == KafkaError._MSG_TIMED_OUT:  # noqa: SLF001 - its public name begins with _
        return "no broker acknowledged it in time"
    return str(error.str()).rstrip(".")
