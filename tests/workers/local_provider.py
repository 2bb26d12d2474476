"""A provider on this machine: a real HTTP server whose replies each test writes itself."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
from aiohttp import web

ANSWER = "Because of Rayleigh."

Reply = Callable[[web.Request], Awaitable[web.StreamResponse]]


def completion(text: str | None = ANSWER, **given: Any) -> dict[str, Any]:
    """A whole chat completion in OpenAI's form."""
    message = {"role": "assistant", "content": text, **given.pop("message", {})}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-deployed",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}],
        "usage": {"prompt_tokens": 6, "completion_tokens": 4, "total_tokens": 10},
        **given,
    }


def good(text: str = ANSWER) -> Reply:
    """Answers at once."""

    async def reply(_request: web.Request) -> web.StreamResponse:
        return web.json_response(completion(text))

    return reply


def error(status: int, code: str | None = None, **headers: str) -> Reply:
    """Says no, in OpenAI's form; `_` in a header's name stands for `-`."""

    async def reply(_request: web.Request) -> web.StreamResponse:
        return web.json_response(
            {"error": {"message": "No, because.", "type": "said_no", "code": code}},
            status=status,
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        )

    return reply


def bytes_of(data: bytes, status: int = 200) -> Reply:
    """Answers with these bytes."""

    async def reply(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=data, status=status, content_type="application/json")

    return reply


async def cut(request: web.Request) -> web.StreamResponse:
    """Closes the connection without a word."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def cut_inside(request: web.Request) -> web.StreamResponse:
    """Promises more than it sends, then closes."""
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"id": "chatcmpl-1", ')
    assert request.transport is not None
    request.transport.abort()
    return response


def silent(seconds: float = 30.0) -> Reply:
    """Takes the question, and says nothing for so long."""

    async def reply(_request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return web.json_response(completion())

    return reply


def held(gate: asyncio.Event, then: Reply) -> Reply:
    """Answers as `then` does, once the gate is open."""

    async def reply(request: web.Request) -> web.StreamResponse:
        await gate.wait()
        return await then(request)

    return reply


def streamed(*pieces: bytes, pause_s: float = 0.0, end: str = "close", first_s: float = 0) -> Reply:
    """Sends these pieces of an event stream, then closes, aborts or hangs."""

    async def reply(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await asyncio.sleep(first_s)
        for piece in pieces:
            await response.write(piece)
            await asyncio.sleep(pause_s)
        if end == "abort":
            assert request.transport is not None
            request.transport.abort()
        elif end == "hang":
            await asyncio.sleep(30)
        return response

    return reply


def chunk(text: str | None = None, finish: str | None = None, **given: Any) -> bytes:
    """One event of a streamed chat completion."""
    delta = {} if text is None else {"content": text}
    choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
    data = {"id": "chatcmpl-1", "model": "gpt-deployed", "choices": [choice], **given}
    return b"data: " + orjson.dumps(data) + b"\n\n"


USAGE = chunk(choices=[], usage={"prompt_tokens": 6, "completion_tokens": 4})
DONE = b"data: [DONE]\n\n"


class Provider:
    """What the server was asked, and what it answers: `reply` for all, `replies` by prompt id.

    A list of replies is used in turn, its last one again and again.
    """

    def __init__(self) -> None:
        self.url = ""
        self.reply: Reply = good()
        self.replies: dict[str, list[Reply]] = {}
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.served: Counter[str] = Counter()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        prompt_id = request.headers["x-weighbridge-id"]
        self.asked.append(orjson.loads(await request.read()))
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        turn = self.served[prompt_id]
        self.served[prompt_id] += 1
        replies = self.replies.get(prompt_id)
        reply = replies[min(turn, len(replies) - 1)] if replies else self.reply
        return await reply(request)


@asynccontextmanager
async def local_provider() -> AsyncIterator[Provider]:
    """A server on a free port of this machine."""
    provider = Provider()
    app = web.Application(client_max_size=1 << 28)
    for path in ("chat/completions", "images/generations", "embeddings"):
        app.router.add_post(f"/v1/{path}", provider.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        provider.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        yield provider
    finally:
        await runner.cleanup()
