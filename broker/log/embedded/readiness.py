"""Whether a broker answers, and waiting for what must come true by a deadline."""

import socket
import time
from collections.abc import Callable

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from broker.log.embedded.server_properties import HOST, Ports
from broker.records.errors import NotReadyError

_POLL_S = 0.05
_PROBE_S = 1.0


def accepts(chosen: Ports) -> bool:
    """Whether something accepts connections on the broker's port."""
    try:
        with socket.create_connection((HOST, chosen.broker), timeout=_PROBE_S):
            return True
    except OSError:
        return False


def answers(chosen: Ports) -> Callable[[], bool]:
    """A probe that is true once a broker there names itself in its cluster's metadata."""
    admin = AdminClient({"bootstrap.servers": chosen.bootstrap, "log_level": 0})

    def probe() -> bool:
        try:
            return len(admin.list_topics(timeout=_PROBE_S).brokers) > 0
        except KafkaException:
            return False

    return probe


def wait_for(
    condition: Callable[[], bool], ends: float, failure: Callable[[], NotReadyError]
) -> None:
    """Poll until the condition holds; raises the failure when the monotonic clock passes `ends`."""
    while not condition():
        if time.monotonic() > ends:
            raise failure()
        time.sleep(_POLL_S)
