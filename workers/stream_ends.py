"""What becomes of a connection behind a stream: read to its end, so that it can be used again.

Some servers close it there without having said so. The next call would take it out of the pool and
be cut before it is answered, and nobody could tell whether it was done. llama.cpp's own server is
one of them.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

import aiohttp

_WATCHED: Final = 3
_PAUSE_S: Final = 0.002
_LOOK_S: Final = 0.1
_REST_S: Final = 0.05
_NOTHING: Final[Mapping[str, str]] = {}
_CLOSE: Final[Mapping[str, str]] = {"Connection": "close"}


def transport_of(reply: aiohttp.ClientResponse) -> asyncio.Transport | None:
    """The connection of a reply that is being read; None when all of it is here already."""
    return None if reply.connection is None else reply.connection.transport


class StreamEnds:
    """What one provider's server does behind its streams. Used on the event loop.

    The first few streams are watched for a moment, the others looked at a little later. Once the
    server was seen to close, later streams ask it to say so.
    """

    def __init__(self) -> None:
        self._watched = 0
        self._closes = False

    def headers(self) -> Mapping[str, str]:
        """What a call for a stream says of its connection."""
        return _CLOSE if self._closes else _NOTHING

    async def ended(
        self, content: aiohttp.StreamReader, transport: asyncio.Transport | None
    ) -> None:
        """The answer on this connection is whole; what is left of its body says nothing more."""
        if self._closes or not await _read_to_end(content) or transport is None:
            return
        if self._watched < _WATCHED:
            self._watched += 1
            await asyncio.sleep(_PAUSE_S)
            self._look(transport)
        asyncio.get_running_loop().call_later(_LOOK_S, self._look, transport)

    def _look(self, transport: asyncio.Transport) -> None:
        self._closes = self._closes or transport.is_closing()


async def _read_to_end(content: aiohttp.StreamReader) -> bool:
    """Whether the body came to its end within a moment; if not, its connection is closed by us."""
    if content.at_eof():
        return True
    try:
        async with asyncio.timeout(_REST_S):
            while not content.at_eof():
                await content.readany()
    except (TimeoutError, aiohttp.ClientError):
        return False
    return True
