"""Free ports of this machine that stay free for a child which is started again."""

import secrets
import socket

from broker.records.errors import NotReadyError

FIRST, LAST = 20_000, 32_000
"""Below what systems lend to outgoing connections: while a child is down, none takes its port."""
_TRIES = 500


def free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    """So many different free TCP ports; they are held together, so none is named twice.

    Raises NotReadyError when there seem to be too few.
    """
    held: list[socket.socket] = []
    found: list[int] = []
    try:
        for _ in range(_TRIES + count):
            if len(found) == count:
                return found
            port = FIRST + secrets.randbelow(LAST - FIRST)
            one = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            held.append(one)
            try:
                one.bind((host, port))
            except OSError:
                continue
            found.append(port)
    finally:
        for one in held:
            one.close()
    raise NotReadyError(
        f"{count} free TCP ports were not found between {FIRST} and {LAST}.",
        mend="End some of the programs that listen there.",
        code="port_taken",
    )
