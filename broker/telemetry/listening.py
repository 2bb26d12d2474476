"""Listening at an address, and what is said when it is taken."""

from typing import Final

from aiohttp import web
from aiohttp.web_runner import BaseRunner

from broker.records.errors import NotReadyError

_BACKLOG: Final = 4_096
"""Connections that may wait to be accepted: a pool of workers may come all at once."""


async def listen(runner: BaseRunner, host: str, port: int, mend: str) -> int:
    """Serve at this address, and return the port (0 takes a free one).

    Raises NotReadyError with `mend` when the address cannot be had; the runner is cleaned up then.
    """
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, backlog=_BACKLOG).start()
    except OSError as error:
        await runner.cleanup()
        raise NotReadyError(
            f"The address {host}:{port} cannot be used: {error.strerror or error}.",
            mend=mend,
            code="port_taken",
        ) from error
    bound: int = runner.addresses[0][1]
    return bound
