"""Free ports of this machine."""

import socket


def free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    """So many different free TCP ports; they are held together, so none is named twice."""
    held = [socket.socket(socket.AF_INET, socket.SOCK_STREAM) for _ in range(count)]
    try:
        for one in held:
            one.bind((host, 0))
        return [one.getsockname()[1] for one in held]
    finally:
        for one in held:
            one.close()
