"""Reads the body of a reply, whole or as a stream, within the bounds of its call."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Final

import aiohttp

from broker.core.token_estimate import estimate_tokens
from broker.records.usage import Usage
from workers.exchange import Exchange
from workers.providers.dialect import Answer, Assembler, MalformedReplyError, Piece

MAX_ANSWER_BYTES: Final = 256 * 1024 * 1024
"""Longest reply that is read; a provider that never ends must not fill the memory."""

_ASCII: Final = 0.25
_OTHER: Final = 0.7
"""Tokens for each character, about: English and code, and most other scripts."""


OnPieces = Callable[[Sequence[Piece]], None]
"""Told what a stream brings, as it comes."""


@dataclass(slots=True)
class Streaming:
    """A streamed answer on its way. `received_tokens` of it have come, about."""

    assembler: Assembler
    on_pieces: OnPieces | None
    received_tokens: float = 0.0


class CutOffError(asyncio.CancelledError):
    """A call was cancelled, after this usage and about so many tokens of an answer had come."""

    def __init__(self, stream: Streaming | None) -> None:
        super().__init__()
        self.usage = used(stream)
        self.received_tokens = received(stream)


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
        if pieces:
            stream.received_tokens += tokens_in(pieces)
            if on_pieces is not None:
                on_pieces(pieces)
    return assembler.answer()


def tokens_in(pieces: Sequence[Piece]) -> float:
    """About how many tokens are in these; it must cost next to nothing for each of them."""
    tokens = 0.0
    for piece in pieces:
        for name, value in piece.delta.items():
            if isinstance(value, str):
                if name != "role":
                    tokens += len(value) * (_ASCII if value.isascii() else _OTHER)
            elif isinstance(value, list):  # calls of tools: their arguments are all that is long
                tokens += len(value)
    return tokens


def used(stream: Streaming | None) -> Usage:
    """What a stream has said of its usage so far."""
    return Usage() if stream is None else stream.assembler.usage


def received(stream: Streaming | None, answer: Answer | None = None) -> int:
    """About how many tokens came of an answer whose usage does not say."""
    if answer is not None and answer.usage.output_tokens is not None:
        return 0
    if stream is not None:
        return ceil(stream.received_tokens)
    return estimate_tokens(answer.text) if answer is not None and answer.text else 0


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
