"""Servers that close behind their streams are asked to say so; those that keep are let alone."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web

from tests.workers import local_provider as says
from tests.workers.building import on_loop, until, work
from tests.workers.test_calling import client_of

STREAM = {"stream": True, "max_output_tokens": 3}
PIECES = (says.chunk("a"), says.chunk(None, "stop"), says.USAGE, says.DONE)
Behind = Callable[[web.Request], Awaitable[None]]


async def nothing(_request: web.Request) -> None:
    """The body ends at once."""


async def a_moment(_request: web.Request) -> None:
    await asyncio.sleep(0.01)


async def close(request: web.Request) -> None:
    assert request.transport is not None
    asyncio.get_running_loop().call_soon(request.transport.close)


def streaming(behind: Behind, peers: set[object]) -> says.Reply:
    """A stream; `behind` is done between its last event and the end of its body."""

    async def reply(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        peers.add(request.transport.get_extra_info("peername"))
        response = await says.streamed(*PIECES, pause_s=0.001)(request)
        await behind(request)
        return response

    return reply


async def _streams(behind: Behind, count: int) -> tuple[int, list[dict[str, str]]]:
    """How many connections there were, and the headers of the calls."""
    peers: set[object] = set()
    async with says.local_provider() as provider:
        provider.reply = streaming(behind, peers)
        client = client_of(provider.url)
        try:
            for number in range(count):
                got = await client.call(await client.prepare(work(f"p{number}", fields=STREAM)), 1)
                assert got.answer is not None, got.code
                assert got.answer.text == "a"
        finally:
            await client.close()
        return len(peers), provider.headers


@pytest.mark.parametrize("behind", [nothing, a_moment])
def test_a_connection_whose_stream_came_to_its_end_is_used_again(
    monkeypatch: pytest.MonkeyPatch, behind: Behind
) -> None:
    monkeypatch.setattr("workers.stream_ends._REST_S", 20.0)
    connections, headers = on_loop(_streams(behind, 6))
    assert connections == 1
    assert all(sent.get("connection") != "close" for sent in headers)


def test_a_server_that_closes_behind_a_stream_is_asked_to_say_so() -> None:
    async def main() -> None:
        peers: set[object] = set()
        async with says.local_provider() as provider:
            provider.reply = streaming(close, peers)
            client = client_of(provider.url)

            async def asked_to_say() -> bool:
                await client.call(await client.prepare(work("p", fields=STREAM)), 1)
                return provider.headers[-1].get("connection") == "close"

            async with asyncio.timeout(20):
                while not await asked_to_say():
                    pass
            await client.close()

    on_loop(main())


def test_a_body_that_goes_on_behind_its_last_event_holds_no_answer() -> None:
    async def hang(_request: web.Request) -> None:
        await asyncio.sleep(30)

    async def main() -> None:
        async with says.local_provider() as provider:
            provider.reply = streaming(hang, set())
            client = client_of(provider.url)
            got = await client.call(await client.prepare(work("p", fields=STREAM)), 1)
            assert got.answer is not None
            await client.close()
            await until(lambda: provider.headers)

    on_loop(main())
