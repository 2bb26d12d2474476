"""An idempotent producer outside transactions, on a thread of its own, for the event loop.

It carries what is not part of an answer: the call journal and the workers' states.
"""

import asyncio
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Producer

from broker.log.kafka_errors import kafka_error
from broker.records.errors import NotReadyError, WeighbridgeError
from broker.records.incoming import Headers
from broker.telemetry.logs import get_logger

POLL_S: Final = 0.1
MOST_WAITING: Final = 50_000
"""Records that may wait for the broker; beyond it a send fails at once."""
DELIVERY_S: Final = 10.0
"""How long a record may take until its send has failed."""

Written = asyncio.Future[None]


class AcknowledgedProducer:
    """Made and used inside the event loop."""

    def __init__(self, client: Mapping[str, Any]) -> None:
        self._where = str(client.get("bootstrap.servers"))
        self._producer = Producer(
            {
                **client,
                "linger.ms": 1,
                "queue.buffering.max.messages": MOST_WAITING,
                "message.timeout.ms": int(DELIVERY_S * 1000),
            }
        )
        self._loop = asyncio.get_running_loop()
        self._acked: list[tuple[Written, KafkaError | None]] = []
        self._acked_lock = threading.Lock()
        self._closing = False
        self._log = get_logger()
        self._thread = threading.Thread(target=self._serve, name="acknowledged", daemon=True)
        self._thread.start()

    def send(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        headers: Headers = (),
    ) -> Written:
        """Write one record. The future ends when every replica has it, or with WeighbridgeError.

        Who does not wait for it need not look at it: a failure is logged.
        """
        written: Written = self._loop.create_future()
        error = self._produce(
            topic,
            value,
            key,
            partition,
            headers=headers,
            on_delivery=partial(self._delivered, written),
        )
        if error is not None:
            self._fail(written, error)
        return written

    def send_and_forget(
        self, topic: str, value: bytes | None, *, key: bytes, partition: int | None = None
    ) -> None:
        """Write one record that nobody waits for; a failure is logged."""
        error = self._produce(topic, value, key, partition, headers=(), on_delivery=self._forgotten)
        if error is not None:
            self._forgotten(error, None)

    def send_or_lose(self, topic: str, value: bytes, *, key: bytes) -> None:
        """Write one record that may be lost without a word."""
        self._produce(topic, value, key, None, headers=(), on_delivery=_unheard)

    def _produce(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        partition: int | None,
        *,
        headers: Headers,
        on_delivery: Callable[[KafkaError | None, object], None],
    ) -> KafkaError | None:
        """Hand a record to the client; the error that kept it from being taken, or None."""
        place = {} if partition is None else {"partition": partition}
        try:
            self._producer.produce(
                topic, value, key, headers=list(headers) or None, on_delivery=on_delivery, **place
            )
        except BufferError:
            return KafkaError(KafkaError._QUEUE_FULL)  # noqa: SLF001 - a public constant
        except KafkaException as error:
            refused: KafkaError = error.args[0]
            return refused
        return None

    async def close(self, deadline_s: float) -> None:
        """Wait until everything is written, and let go."""
        await self._loop.run_in_executor(None, self._producer.flush, deadline_s)
        self._closing = True
        await self._loop.run_in_executor(None, self._thread.join, POLL_S * 10)
        self._settle_all()

    def _delivered(self, written: Written, error: KafkaError | None, _message: object) -> None:
        """On whichever thread serves the client's events; at the end that may be two."""
        with self._acked_lock:
            self._acked.append((written, error))
            is_first = len(self._acked) == 1
        if is_first:
            self._loop.call_soon_threadsafe(self._settle_all)

    def _serve(self) -> None:
        while not self._closing:
            self._producer.poll(POLL_S)

    def _settle_all(self) -> None:
        with self._acked_lock:
            acked, self._acked = self._acked, []
        self._settle(acked)

    def _settle(self, acked: list[tuple[Written, KafkaError | None]]) -> None:
        for written, error in acked:
            if written.done():
                continue
            if error is None:
                written.set_result(None)
            else:
                self._fail(written, error)

    def _fail(self, written: Written, error: KafkaError) -> None:
        if error.code() == KafkaError._QUEUE_FULL:  # noqa: SLF001 - as above
            told: WeighbridgeError = NotReadyError(
                f"{MOST_WAITING} records wait for Kafka at {self._where} already.",
                mend="Check that the broker runs.",
                code="kafka_unreachable",
            )
        else:
            told = kafka_error(error, doing="writing the journal", where=self._where)
        written.set_exception(told)

    def _forgotten(self, error: KafkaError | None, _message: object) -> None:
        """On whichever thread serves the client's events."""
        if error is not None:
            self._log.warning("not_written", why=error.name())


def _unheard(_error: KafkaError | None, _message: object) -> None:
    """Nobody waits for it."""
