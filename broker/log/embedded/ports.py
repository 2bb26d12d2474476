"""The broker's ports: chosen free once, then remembered beside its data."""

import json
import secrets
import socket
from pathlib import Path

from broker.log.embedded.server_properties import HOST, Ports
from broker.records.errors import NotReadyError

# Below what Linux, BSD and macOS lend to outgoing connections, so that none of those sits on a
# remembered port when the broker comes back.
_FIRST, _LAST = 20_000, 32_000
_TRIES = 200


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of the loopback address now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As Java does: closed connections that linger on the port are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def free_port(*, avoid: int = 0) -> int:
    """A free port; raises NotReadyError when there seems to be none."""
    for _ in range(_TRIES):
        port = _FIRST + secrets.randbelow(_LAST - _FIRST)
        if port != avoid and is_free(port):
            return port
    raise NotReadyError(
        f"No free TCP port was found between {_FIRST} and {_LAST}.",
        mend="End some of the programs that listen there.",
        code="port_taken",
    )


def remembered(file: Path) -> Ports | None:
    """The ports of an earlier start, or None before the first (or when the file is damaged)."""
    try:
        found = json.loads(file.read_text())
        return Ports(int(found["broker"]), int(found["controller"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def choose(file: Path, *, port: int | None = None) -> Ports:
    """The ports to start on: `port` or the remembered one for clients, who may have noted it.

    The controller's port is nobody else's business: when it is taken, another is chosen. Raises
    NotReadyError when the clients' port is taken.
    """
    known = remembered(file)
    broker = port or (known.broker if known else free_port())
    if not is_free(broker):
        raise port_taken(broker)
    controller = known.controller if known else 0
    if controller in (0, broker) or not is_free(controller):
        controller = free_port(avoid=broker)
    chosen = Ports(broker, controller)
    file.write_text(json.dumps({"broker": broker, "controller": controller}))
    return chosen


def port_taken(port: int) -> NotReadyError:
    """Another program listens where the broker should."""
    return NotReadyError(
        f"Port {port}, where the embedded Kafka should listen, is taken by another program.",
        mend="End that program, or choose another port with `weighbridge kafka start --port PORT`.",
        code="port_taken",
    )
