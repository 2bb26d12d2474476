"""The Faust application: one agent on `<prefix>.prompts`, in order, without tables or web."""

import logging
import os
from collections.abc import Awaitable, Callable
from typing import Any, Final

import faust
from faust.app.base import BootStrategy
from faust.serializers.schemas import Schema
from faust.tables.manager import TableManager

from broker.classifier import transport
from broker.classifier.intake import Batch, Connection

FETCH_BYTES: Final = 1024 * 1024
RECORDS_A_FETCH: Final = 500
BATCHES_BUFFERED: Final = 4
REBALANCE_S: Final = 20.0
REQUEST_S: Final = 30.0

Take = Callable[[Batch], Awaitable[None]]


class _OnlyTheConsumer(BootStrategy):  # type: ignore[misc] # Faust is untyped
    """Start no producer (the transactional writer has its own), no web server, no sensors."""

    enable_kafka_producer = False
    enable_web = False
    enable_sensors = False


class _NoTables(TableManager):  # type: ignore[misc] # Faust is untyped
    """Without Faust's second of waiting for tables that might still be declared."""

    async def on_start(self) -> None:
        await self._update_channels()
        await self.recovery.start()


class _BatchSchema(Schema):  # type: ignore[misc] # Faust is untyped
    """Hands the transport's batches to the stream as they are."""

    def compile(self, app: Any, **_callbacks: Any) -> Any:
        create_event = app.create_event

        async def decode(message: Any, *, propagate: bool = False) -> Any:
            del propagate
            return create_event(None, message.value, message.headers, message)

        return decode


class ClassifierApp(faust.App):  # type: ignore[misc] # Faust is untyped
    """Faust's application, with what our transport needs in `connection`."""

    BootStrategy = _OnlyTheConsumer
    connection: Connection

    async def on_first_start(self) -> None:
        """Make no data folders: there are no tables."""


def create_app(
    *,
    group: str,
    bootstrap: str,
    connection: Connection,
    take: Take,
    instance_id: str,
    session_timeout_s: float,
) -> ClassifierApp:
    """The application whose agent hands every batch to `take`, one after the other.

    `instance_id` is the static member id of this slot: a classifier that is killed and started
    again gets its partitions back at once.
    """
    logging.getLogger(__name__).setLevel(logging.WARNING)  # Faust's "Starting..." of our classes
    transport.register()
    app = ClassifierApp(
        group,
        broker=transport.urls(bootstrap),
        broker_client_id=f"{group}-{instance_id}",
        consumer_group_instance_id=instance_id,
        broker_session_timeout=session_timeout_s,
        broker_heartbeat_interval=min(3.0, session_timeout_s / 3),
        broker_rebalance_timeout=REBALANCE_S,
        broker_request_timeout=max(REQUEST_S, session_timeout_s),
        broker_max_poll_interval=300.0,
        broker_max_poll_records=RECORDS_A_FETCH,
        consumer_max_fetch_size=FETCH_BYTES,
        consumer_metadata_max_age_ms=60_000,
        consumer_auto_offset_reset="earliest",
        stream_buffer_maxsize=BATCHES_BUFFERED,
        stream_wait_empty=False,  # what is not decided at a rebalance is read again
        stream_recovery_delay=0.0,
        topic_allow_declare=False,
        topic_disable_leader=True,
        autodiscover=False,
        web_enabled=False,
        value_serializer="raw",
        key_serializer="raw",
        store="memory://",
        TableManager=_NoTables,
        cython_optimizations=not os.environ.get("NO_CYTHON"),
    )
    app.connection = connection
    # Without acks Faust keeps no book of offsets, which nothing would ever empty.
    prompts = app.topic(connection.topic, acks=False, schema=_BatchSchema())

    @app.agent(prompts, concurrency=1, name="classify")  # type: ignore[untyped-decorator] # Faust is untyped
    async def classify(stream: Any) -> None:
        async for batch in stream:
            await take(batch)

    return app
