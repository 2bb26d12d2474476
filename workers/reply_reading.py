"""Reads the body of a reply, whole or as a stream, within the bounds of its call."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import aiohttp

from workers.exchange import Exchange
from workers.providers.dialect import Answer, Assembler, MalformedReplyError, Piece

MAX_ANSWER_BYTES: Final = 256 * 1024 * 1024
"""Longest reply that is read; a provider that never ends must not fill the memory."""

OnPieces = Callable[[Sequence[Piece]], None]
"""Told what a stream brings, as it comes."""


@dataclass(frozen=True, slots=True)
class Streaming:
    """A streamed answer on its way."""

    assembler: Assembler
    on_pieces: OnPieces | None


async def read_stream(
    exchange: Exchange, timer: asyncio.Timeout, stream: Streaming, reply: aiohttp.ClientResponse
) -> Answer:
    """Read to the end of the answer; raises what the assembler does."""
    assembler, on_pieces = stream.assembler, stream.on_pieces
    size = 0
    exchange.streaming = True
    exchange.first_token_s = None
    while not assembler.ended:
        timer.reschedule(exchange.next_bytes())
        data = await reply.content.readany()
        if not data:
            break
        size += len(data)
        if size > MAX_ANSWER_BYTES:
            raise MalformedReplyError("The answer is too long to be one.")
        pieces = assembler.feed(data)
        if assembler.begun:
            exchange.token()
        if pieces and on_pieces is not None:
            on_pieces(pieces)
    return assembler.answer()


async def read_whole(
    exchange: Exchange, timer: asyncio.Timeout, reply: aiohttp.ClientResponse
) -> bytes:
    """Read the whole body; raises MalformedReplyError when it has no end."""
    content = reply.content
    if content.is_eof():  # the body came with the head: most of the time
        return await reply.read()
    parts: list[bytes] = []
    size = 0
    while not content.at_eof():
        timer.reschedule(exchange.next_bytes())
        part = await content.readany()
        parts.append(part)
        size += len(part)
        if size > MAX_ANSWER_BYTES:
            raise MalformedReplyError("The answer is too long to be one.")
    return b"".join(parts)
