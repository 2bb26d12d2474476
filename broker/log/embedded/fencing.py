"""Before a broker starts on data that were used before: its former self is fenced, by a controller.

Kafka's transaction coordinator leaves the markers of an ending transaction out for partitions that
have no leader, takes them for deleted, and calls the transaction complete. After a crash of the
only broker that is just what happens: the controller holds the old incarnation for alive, so the
new one is already coordinator, until the old session ends and every partition loses its leader for
a moment. What was to be rolled back then stays open, and the producer's next commit commits it.

So a controller alone, without a broker, runs first and ends the old session at once. The broker
that starts after it finds no leaders, becomes coordinator only together with the leadership of all
its partitions, and writes every marker. While it runs its session is so long that a stall cannot
end it (`server_properties`).
"""

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import psutil

from broker.log.embedded import broker_process
from broker.log.embedded.log_tail import LogTail
from broker.log.embedded.readiness import wait_for
from broker.log.embedded.server_properties import HOST, NODE_ID, Ports
from broker.records.errors import NotReadyError

SESSION_MS: Final = 100
_NOTHING_TO_FENCE_S: Final = 2.0
"""So long after it became active the controller has looked at every session many times."""
_END_S: Final = 10.0
_ACTIVE: Final = "Becoming the active controller"
_FENCED: Final = re.compile(rf"Fencing broker {NODE_ID} at .*modifying the registration", re.DOTALL)
"""Decided, and then replayed: it is in the metadata log."""

Spawn = Callable[[Path], psutil.Process]
"""Starts Kafka with these properties."""
Failed = Callable[[str], NotReadyError]


def controller_properties(folder: Path, ports: Ports) -> dict[str, str]:
    """The configuration of the controller alone, on the same data."""
    listener = f"CONTROLLER://{HOST}:{ports.controller}"
    return {
        "process.roles": "controller",
        "node.id": str(NODE_ID),
        "controller.quorum.voters": f"{NODE_ID}@{HOST}:{ports.controller}",
        "controller.listener.names": "CONTROLLER",
        "listeners": listener,
        "advertised.listeners": listener,
        "log.dirs": str(folder / "data"),
        "broker.session.timeout.ms": str(SESSION_MS),
    }


def fence(spawn: Spawn, properties: Path, log: Path, ends: float, failed: Failed) -> None:
    """Run the controller until the former broker is fenced, or was already.

    `log` is where Kafka logs, `ends` a monotonic time. Raises what `failed` makes of a reason.
    """
    tail = LogTail(log)
    controller = spawn(properties)
    active_at: float | None = None

    def is_fenced() -> bool:
        nonlocal active_at
        if not broker_process.alive(controller):
            raise failed("could not begin: its controller ended")
        said = tail.read()
        if active_at is None and _ACTIVE in said:
            active_at = time.monotonic()
        if _FENCED.search(said):
            return True
        return active_at is not None and time.monotonic() - active_at > _NOTHING_TO_FENCE_S

    try:
        wait_for(is_fenced, ends, lambda: failed("did not fence its former self in time"))
    finally:
        broker_process.end(controller, deadline_s=_END_S)
