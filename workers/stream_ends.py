"""Servers that close a connection right behind each stream, without having said so.

The next call would take that connection out of the pool and be cut before it is answered, and
nobody could tell whether it was done. llama.cpp's own server is one of them.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

import aiohttp

_WATCHED: Final = 3
_PAUSE_S: Final = 0.002
_LOOK_S: Final = 0.1
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

    async def ended(self, transport: asyncio.Transport | None) -> None:
        """A stream on this connection has come to its end."""
        if self._closes or transport is None:
            return
        if self._watched < _WATCHED:
            self._watched += 1
            await asyncio.sleep(_PAUSE_S)
            self._look(transport)
        asyncio.get_running_loop().call_later(_LOOK_S, self._look, transport)

    def _look(self, transport: asyncio.Transport) -> None:
        self._closes = self._closes or transport.is_closing()
