"""What librdkafka's clients are configured with, from the settings."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from broker.log.embedded import EmbeddedKafka
from broker.log.topic_plan import LARGEST_BYTES
from broker.records.errors import NotReadyError
from broker.settings import Settings
from broker.settings.loading import data_folder, resolve_secret

EMBEDDED = "embedded"

_COMMON: dict[str, Any] = {
    "client.id": "weighbridge",
    # What goes wrong comes to us as errors; below that it writes a line for each try to connect.
    "log_level": 2,
    "socket.keepalive.enable": True,
    # Found again quickly after a broker's restart: the defaults grow to 10 s.
    "reconnect.backoff.ms": 50,
    "reconnect.backoff.max.ms": 1_000,
}
_PRODUCER: dict[str, Any] = {
    "acks": "all",
    "enable.idempotence": True,
    "linger.ms": 1,
    "compression.type": "lz4",
    # The topic's own limit decides; librdkafka's of 1 MB would refuse a work record near it.
    "message.max.bytes": 2 * LARGEST_BYTES,
}
_CONSUMER: dict[str, Any] = {
    "enable.auto.commit": False,
    "auto.offset.reset": "earliest",
    "isolation.level": "read_committed",
    "allow.auto.create.topics": False,
    # Once its queue was full, librdkafka would fetch nothing for a second, however soon it is read.
    "fetch.queue.backoff.ms": 20,
}


def embedded_folder() -> Path:
    """Where the embedded broker of this user lives."""
    return data_folder() / "kafka"


def bootstrap_servers(settings: Settings) -> str:
    """Where the brokers are; for `embedded`, where the embedded one listens now.

    Raises NotReadyError when the embedded one does not run.
    """
    if settings.kafka.bootstrap != EMBEDDED:
        return settings.kafka.bootstrap
    status = EmbeddedKafka(embedded_folder()).status()
    if not status.running or status.bootstrap is None:
        raise NotReadyError(
            "The embedded Kafka is not running.",
            mend="Run `weighbridge up` or `weighbridge kafka start` in another terminal, or name "
            "your own broker with --kafka HOST:PORT.",
            code="kafka_not_running",
        )
    return status.bootstrap


def client_options(given: Mapping[str, str]) -> dict[str, str]:
    """`kafka.client` of the settings with its secrets (`env:NAME`, `file:PATH`) read in.

    Raises UsageError for one that cannot be read.
    """
    return {name: resolve_secret(value) or "" for name, value in given.items()}


def admin_config(settings: Settings, **extra: Any) -> dict[str, Any]:
    """For `AdminClient`; `extra` are librdkafka's names, with dots, and win."""
    return _config(settings, {}, extra)


def producer_config(settings: Settings, **extra: Any) -> dict[str, Any]:
    """For `Producer`: idempotent and acknowledged by all replicas; `extra` wins."""
    return _config(settings, _PRODUCER, extra)


def consumer_config(settings: Settings, **extra: Any) -> dict[str, Any]:
    """For `Consumer`: read-committed, from the beginning, without commits of its own; `extra` wins.

    The caller gives `group.id`.
    """
    return _config(settings, _CONSUMER, extra)


def _config(
    settings: Settings, ours: Mapping[str, Any], extra: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        **_COMMON,
        **ours,
        "bootstrap.servers": bootstrap_servers(settings),
        **client_options(settings.kafka.client),
        **extra,
    }
