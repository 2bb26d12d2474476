"""Whether something listens at an address: one TCP connection, nothing sent."""

import socket

CONNECT_S = 3.0


def unreachable(host: str, port: int) -> str | None:
    """Why nothing can be connected to there, as a sentence; None when something can."""
    try:
        with socket.create_connection((host, port), timeout=CONNECT_S):
            return None
    except socket.gaierror:
        return f"The name {host} is not known."
    except TimeoutError:
        return f"{host}:{port} did not answer within {CONNECT_S:.0f} s."
    except OSError as error:
        reason = error.strerror or type(error).__name__
        return f"{host}:{port} cannot be connected to: {reason}."
