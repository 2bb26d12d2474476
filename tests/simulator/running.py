"""A real simulator in this process, on a port of its own, and requests to it."""

import asyncio
import io
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson

from broker.settings import Settings, load_settings
from workers.simulator.server import SimulatorServer

QUICK = {"first_token_s": 0.0, "per_input_token_s": 0.0, "per_token_s": 0.0, "spread": 0.0}
DEADLINE_S = 10.0


def simulated(*, faults: dict[str, Any] | None = None, **given: Any) -> Settings:
    """Settings whose cloud `openai` has these figures; without latencies unless they say so.

    Every cloud speaks OpenAI's dialect.
    """
    cloud = {**QUICK, **given, "faults": faults or {}}
    settings = load_settings(simulator={"clouds": {"openai": cloud}})
    providers = {
        name: provider.model_copy(update={"dialect": "openai"})
        for name, provider in settings.providers.items()
    }
    return settings.model_copy(update={"providers": providers})


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float

    def json(self) -> Any:
        return orjson.loads(self.body)

    def events(self) -> list[Any]:
        """The events of a stream; `[DONE]` as that text."""
        found = [part.removeprefix(b"data: ") for part in self.body.split(b"\n\n") if part]
        return ["[DONE]" if one == b"[DONE]" else orjson.loads(one) for one in found]


@dataclass(frozen=True, slots=True)
class Running:
    server: SimulatorServer
    url: str
    session: aiohttp.ClientSession

    async def chat(
        self,
        *,
        prompt_id: str | None = None,
        provider: str = "openai",
        model: str = "gpt-5",
        text: str = "Why is the sky blue?",
        raw: bytes | None = None,
        **fields: Any,
    ) -> Reply:
        body = {"model": model, "messages": [{"role": "user", "content": text}], **fields}
        headers = {} if prompt_id is None else {"x-weighbridge-id": prompt_id}
        return await self.ask(
            "POST",
            f"/{provider}/v1/chat/completions",
            orjson.dumps(body) if raw is None else raw,
            headers,
        )

    async def ask(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> Reply:
        began = time.monotonic()
        data = io.BytesIO(body)  # bytes as such draw a warning of aiohttp's when there are many
        async with self.session.request(
            method, self.url + path, data=data, headers=headers
        ) as reply:
            read = await reply.read()
            given = {name.lower(): value for name, value in reply.headers.items()}
            return Reply(reply.status, given, read, time.monotonic() - began)

    async def served(self, provider: str = "openai", **query: str) -> Any:
        more = "".join(f"&{name}={value}" for name, value in query.items())
        reply = await self.ask("GET", f"/control/served?provider={provider}{more}")
        return reply.json()[provider]


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Running]:
    """The server while the block runs."""
    server = SimulatorServer(settings)
    port = await server.start("127.0.0.1", 0)
    timeout = aiohttp.ClientTimeout(total=DEADLINE_S)
    try:
        async with aiohttp.ClientSession(
            timeout=timeout, connector=aiohttp.TCPConnector(limit=0)
        ) as session:
            yield Running(server, f"http://127.0.0.1:{port}", session)
    finally:
        await server.stop()


async def until(true: Callable[[], bool]) -> None:
    """Wait for it, with a deadline."""
    async with asyncio.timeout(DEADLINE_S):
        while not true():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.005)
