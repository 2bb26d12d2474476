"""Servers that close behind their streams are asked to say so; those that keep are let alone."""

from typing import Any

from tests.workers import local_provider as says
from tests.workers.building import on_loop, until, work
from tests.workers.test_calling import client_of
from workers.stream_ends import StreamEnds

STREAM = {"stream": True, "max_output_tokens": 3}


class Line:
    """A connection that is open or not."""

    def __init__(self, *, closing: bool) -> None:
        self.closing = closing

    def is_closing(self) -> bool:
        return self.closing


async def _after(*lines: Any) -> StreamEnds:
    ends = StreamEnds()
    for line in lines:
        await ends.ended(line)
    return ends


def test_one_that_closes_is_asked_to_say_so_from_then_on() -> None:
    ends = on_loop(_after(None, Line(closing=False), Line(closing=True)))
    assert ends.headers() == {"Connection": "close"}


def test_one_that_closes_a_moment_later_is_seen_too() -> None:
    async def main() -> None:
        line = Line(closing=False)
        ends = await _after(line, line, line, line)
        assert not ends.headers()
        line.closing = True
        await until(ends.headers)

    on_loop(main())


def test_one_that_keeps_its_connections_is_never_asked_to_close() -> None:
    async def main() -> None:
        async with says.local_provider() as provider:
            provider.reply = says.streamed(says.chunk("a"), says.chunk(None, "stop"))
            client = client_of(provider.url)
            for number in range(6):
                prepared = await client.prepare(work(f"p{number}", fields=STREAM))
                got = await client.call(prepared, 1)
                assert got.answer is not None
            await client.close()
            assert len(provider.headers) == 6
            assert all(sent.get("connection") != "close" for sent in provider.headers)

    on_loop(main())
