"""A server on this machine that keeps what it is asked, and gives the reply it was told."""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from aiohttp import web

_STARTS_IN_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it came. `path` includes the query; the names of headers are lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any


@dataclass(slots=True)
class Recording:
    """What came, and what is answered: to every request the same."""

    url: str
    """Where it listens, without a path."""
    status: int = 200
    reply: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def answers(self, reply: Any, status: int = 200, **headers: str) -> None:
        """Forget what came; from now on answer this. `_` in a header's name stands for `-`.

        Bytes are an event stream, anything else is JSON.
        """
        streamed = isinstance(reply, bytes)
        self.asked.clear()
        self.status = status
        self.reply = reply if streamed else orjson.dumps(reply)
        self.headers = {
            "content-type": "text/event-stream" if streamed else "application/json",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }

    @property
    def last(self) -> Asked:
        """The latest request; there must be one."""
        assert self.asked, "nothing was asked"
        return self.asked[-1]

    async def handle(self, request: web.Request) -> web.Response:
        """Keep it and answer."""
        data = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        try:
            body = orjson.loads(data) if data else None
        except orjson.JSONDecodeError:
            body = data
        self.asked.append(Asked(request.method, request.raw_path, headers, body))
        return web.Response(body=self.reply, status=self.status, headers=self.headers)


@contextmanager
def recording() -> Iterator[Recording]:
    """A recording server on a free port, in a thread of its own."""
    loop = asyncio.new_event_loop()
    runner_of: list[web.AppRunner] = []
    kept = Recording("")

    async def start() -> None:
        app = web.Application(client_max_size=1 << 28)
        app.router.add_route("*", "/{path:.*}", kept.handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        runner_of.append(runner)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        kept.url = f"http://127.0.0.1:{runner.addresses[0][1]}"

    thread = threading.Thread(target=loop.run_forever, name="recording server", daemon=True)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(start(), loop).result(_STARTS_IN_S)
        yield kept
    finally:
        for runner in runner_of:
            asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(_STARTS_IN_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_STARTS_IN_S)
        loop.close()
