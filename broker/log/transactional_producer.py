"""One transactional producer: librdkafka's, with its errors sorted by what has to be done next."""

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from functools import partial
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from broker.log.bounded_calls import BoundedCalls, StuckCallError
from broker.log.kafka_errors import kafka_error
from broker.log.units import Output
from broker.records.errors import WeighbridgeError

SETTINGS: Final[Mapping[str, Any]] = {
    "transaction.timeout.ms": 10_000,
    # Back to back, a transaction meets CONCURRENT_TRANSACTIONS until the markers of the last one
    # are written; with librdkafka's default of 100 ms that wait would be most of its time.
    "retry.backoff.ms": 2,
    "retry.backoff.max.ms": 10,
    "linger.ms": 0,
    "queue.buffering.max.messages": 100_000,
    "queue.buffering.max.kbytes": 262_144,
}
INIT_S: Final = 15.0
ABORT_S: Final = 10.0
COMMIT_S: Final = 15.0
OFFSETS_S: Final = 5.0
"""Well before the transaction's own time-out, so that a call that hangs costs little."""
PRODUCE_S: Final = 10.0
_GRACE_S: Final = 1.0
"""A call that has its own time-out gets so much longer before it is given up."""
_MOST_STUCK: Final = 4
_INIT_AGAIN_S: Final = 0.02


class Next(Enum):
    """What has to be done after a failed step of a transaction."""

    ABORT = "abort"
    """Nothing of it is committed once it is aborted."""
    REMAKE = "remake"
    """Its outcome is unknown, or this producer is of no use any more."""
    REJOIN = "rejoin"
    """The group does not know this member in this generation: abort, and wait for another."""
    SHRINK = "shrink"
    """A record is too large for its topic: abort, and find out which."""


_REJOIN = frozenset(
    {
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError.REBALANCE_IN_PROGRESS,
    }
)


class TransactionError(Exception):
    """A step failed; `next` says what to do, `name` is Kafka's word for it, `error` the cause."""

    def __init__(self, step: str, cause: KafkaError) -> None:
        super().__init__(f"{step}: {cause.name()}")
        self.step = step
        self.name: str = cause.name()
        self.fenced = cause.code() in {KafkaError._FENCED, KafkaError.PRODUCER_FENCED}  # noqa: SLF001 - librdkafka's public constants begin with _
        self.error = kafka_error(cause, doing=step, where="the broker")
        self.next = _next(step, cause)


def _next(step: str, cause: KafkaError) -> Next:
    if cause.fatal() or (step == "commit" and not cause.txn_requires_abort()):
        return Next.REMAKE
    if cause.code() in _REJOIN:
        return Next.REJOIN
    if cause.code() == KafkaError.MSG_SIZE_TOO_LARGE:
        return Next.SHRINK
    return Next.ABORT


class ClientStuckError(WeighbridgeError):
    """Calls of the Kafka client hang again and again: only a new process gets rid of them."""

    default_code = "client_stuck"


class TransactionalProducer:
    """A producer with a fixed transactional id. Used by one thread.

    A step that does not return in time is given up together with its producer; the next `open`
    ends what it left open. Raises ClientStuckError when several such calls still hang.
    """

    def __init__(self, client: Mapping[str, Any], transactional_id: str) -> None:
        self._config = {**client, **SETTINGS, "transactional.id": transactional_id}
        self._id = transactional_id
        self._producer: Producer | None = None
        self._calls: BoundedCalls | None = None
        self._given_up: list[BoundedCalls] = []

    def open(self) -> None:
        """Take the id over: what another producer of it left open is ended.

        Raises TransactionError.
        """
        if self._producer is not None:
            return
        producer = Producer(self._config)
        deadline = time.monotonic() + INIT_S
        while True:
            try:
                producer.init_transactions(max(0.1, deadline - time.monotonic()))
            except KafkaException as error:
                cause = error.args[0]
                if cause.retriable() and time.monotonic() < deadline:
                    time.sleep(_INIT_AGAIN_S)
                    continue
                raise TransactionError("init", cause) from error
            self._producer = producer
            return

    def discard(self) -> None:
        """Give this producer up; the next `open` makes another with the same id."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(KafkaException):  # a fenced one says so again, in `poll`
                producer.purge()
                producer.poll(0)
        if self._calls is not None:
            self._calls.close()
            self._calls = None

    def begin(self) -> None:
        """Begin a transaction."""
        self._step("begin", lambda producer: producer.begin_transaction())

    def produce(
        self, output: Output, partition: int, on_error: Callable[[KafkaError], None] | None = None
    ) -> None:
        """Add a record; `on_error` is told (in `poll` or `commit`) when it could not be written."""
        producer = self._producer
        if producer is None:
            raise TransactionError("produce", KafkaError(KafkaError._STATE))  # noqa: SLF001 - as above
        more: dict[str, Any] = {}
        if on_error is not None:
            more["on_delivery"] = partial(_told, on_error)
        ends: float | None = None
        while True:
            try:
                producer.produce(
                    output.topic,
                    output.value,
                    output.key,
                    partition,
                    headers=list(output.headers) or None,
                    **more,
                )
            except BufferError:
                now = time.monotonic()
                ends = ends or now + PRODUCE_S
                if now > ends:
                    raise TransactionError("produce", KafkaError(KafkaError._QUEUE_FULL)) from None  # noqa: SLF001 - as above
                self.poll(0.05)
            except KafkaException as error:
                raise TransactionError("produce", error.args[0]) from error
            else:
                return

    def poll(self, timeout_s: float = 0.0) -> None:
        """Serve delivery reports."""
        if self._producer is not None:
            self._step("produce", lambda producer: producer.poll(timeout_s))

    def flush(self, timeout_s: float = COMMIT_S) -> None:
        """Wait until every record of the transaction was written or refused."""
        if self._producer is not None:
            self._step("produce", lambda producer: producer.flush(timeout_s))

    def send_offsets(self, offsets: Sequence[TopicPartition], membership: bytes) -> None:
        """Add the input's offsets, fenced by the membership."""
        self._step(
            "send offsets",
            lambda producer: producer.send_offsets_to_transaction(
                list(offsets), membership, OFFSETS_S
            ),
            OFFSETS_S,
        )

    def commit(self) -> None:
        """Commit. A TransactionError with `Next.REMAKE` leaves the outcome unknown."""
        self._step("commit", lambda producer: producer.commit_transaction(COMMIT_S), COMMIT_S)

    def abort(self) -> None:
        """Abort. When this fails, the producer has to be made anew."""
        self._step("abort", lambda producer: producer.abort_transaction(ABORT_S), ABORT_S)

    def _step(
        self, step: str, act: Callable[[Producer], Any], bound_s: float | None = None
    ) -> None:
        """Make one step; with a bound it is given up when it hangs beyond it."""
        producer = self._producer
        if producer is None:
            raise TransactionError(step, KafkaError(KafkaError._STATE))  # noqa: SLF001 - as above
        try:
            if bound_s is None:
                act(producer)
                return
            if self._calls is None:
                self._calls = BoundedCalls(f"{self._id} calls")
            self._calls.call(partial(act, producer), bound_s + _GRACE_S)
        except KafkaException as error:
            raise TransactionError(step, error.args[0]) from error
        except StuckCallError as error:
            self._give_up(step)
            raise TransactionError(step, KafkaError(KafkaError._TIMED_OUT)) from error  # noqa: SLF001 - as above

    def _give_up(self, step: str) -> None:
        """Leave the producer to the call that hangs in it: it cannot even be closed."""
        still = [calls for calls in self._given_up if calls.is_stuck]
        self._given_up = still if self._calls is None else [*still, self._calls]
        self._producer = self._calls = None
        if len(self._given_up) >= _MOST_STUCK:
            raise ClientStuckError(
                f"{len(self._given_up)} calls of the Kafka client for {self._id} hang, the last "
                f"one at: {step}.",
                mend="Start the process again; it goes on from the committed offsets.",
            )


def _told(on_error: Callable[[KafkaError], None], error: KafkaError | None, _: object) -> None:
    if error is not None:
        on_error(error)
