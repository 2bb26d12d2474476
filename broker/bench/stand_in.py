"""A provider that answers at once and costs next to nothing: what is measured is everything else.

`python -m broker.bench.stand_in PORT` answers OpenAI's chat form at `/v1` as soon as a request is
whole. Calls at `/held/v1` are kept open until `POST /release`; `GET /held` says how many there are.
Calls at `/streamed/v1` are answered with a stream whose first token comes at once.
"""

import asyncio
import sys
from typing import Final, cast

import orjson
import uvloop

from broker.supervisor.parent_death import follow_parent

HOST: Final = "127.0.0.1"
_BACKLOG: Final = 4_096
_MOST_BYTES: Final = 16 * 1024 * 1024
_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length:"


def _reply(body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


ANSWER: Final = _reply(
    orjson.dumps(
        {
            "id": "chatcmpl-stand-in",
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": "stand-in",
            "choices": [
                {
                    "index": 0,
                    "message": {
                        "role": "assistant",
                        "content": "Short waves of sunlight are scattered more than long ones.",
                    },
                    "finish_reason": "stop",
                }
            ],
            "usage": {"prompt_tokens": 60, "completion_tokens": 11, "total_tokens": 71},
        }
    )
)


WORDS: Final = ("Short ", "waves ", "of ", "light ", "are ", "scattered ", "more. ")
STREAM_TOKENS: Final = 20
TOKEN_EVERY_S: Final = 0.02


def _event(delta: dict[str, str], finish: str | None = None, **more: object) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    chunk = {
        "id": "chatcmpl-stand-in",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": "stand-in",
        "service_tier": "default",
        "system_fingerprint": None,
        "choices": [choice],
        "usage": None,
        **more,
    }
    return b"data: " + orjson.dumps(chunk) + b"\n\n"


def stream_events(tokens: int) -> tuple[bytes, ...]:
    """The events of a streamed answer, as OpenAI would send them; the last holds three."""
    usage = {"prompt_tokens": 60, "completion_tokens": tokens, "total_tokens": 60 + tokens}
    return (
        _event({"role": "assistant", "content": ""}),
        *(_event({"content": WORDS[number % len(WORDS)]}) for number in range(tokens)),
        _event({}, "stop") + _event({}, choices=[], usage=usage) + b"data: [DONE]\n\n",
    )


def _stream_parts() -> tuple[bytes, ...]:
    """The same for the wire: the head with the first token, the others, the end of the body."""
    role, *others = stream_events(STREAM_TOKENS)
    parts = [role + others[0], *others[1:]]
    chunks = [b"%x\r\n%s\r\n" % (len(part), part) for part in parts]
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    chunks[0] = head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks[0]
    return (*chunks[:-1], chunks[-1] + b"0\r\n\r\n")


STREAM: Final = _stream_parts()


class _Held:
    """The calls that are kept open, over all connections."""

    def __init__(self) -> None:
        self.calls: set[_Connection] = set()

    def release(self) -> int:
        released, self.calls = self.calls, set()
        for connection in released:
            connection.write(ANSWER)
        return len(released)


class _Connection(asyncio.Protocol):
    """One client's connection; requests on it are answered in turn."""

    def __init__(self, held: _Held) -> None:
        self._held = held
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._transport = None
        self._held.calls.discard(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(_END)) >= 0:
            whole = end + len(_END) + _body_bytes(self._buffer[:end])
            if len(self._buffer) < whole:
                break
            line = self._buffer[: self._buffer.find(b"\r\n")]
            self._buffer = self._buffer[whole:]
            self._answer(line)
        if len(self._buffer) > _MOST_BYTES and self._transport is not None:
            self._transport.abort()

    def _answer(self, line: bytes) -> None:
        if line.startswith(b"POST /v1/"):
            self.write(ANSWER)
        elif line.startswith(b"POST /streamed/"):
            self._stream(0)
        elif line.startswith(b"POST /held/"):
            self._held.calls.add(self)
        elif line.startswith(b"POST /release"):
            self.write(_reply(orjson.dumps({"released": self._held.release()})))
        else:
            self.write(_reply(orjson.dumps({"held": len(self._held.calls)})))

    def _stream(self, place: int) -> None:
        """Send this part of the stream, and the next one in its time."""
        self.write(STREAM[place])
        if place + 1 < len(STREAM) and self._transport is not None:
            asyncio.get_running_loop().call_later(TOKEN_EVERY_S, self._stream, place + 1)

    def write(self, data: bytes) -> None:
        """Send these bytes, if the client is still there."""
        if self._transport is not None:
            self._transport.write(data)


def _body_bytes(head: bytes) -> int:
    lowered = head.lower()
    place = lowered.find(_LENGTH)
    if place < 0:
        return 0
    return int(lowered[place + len(_LENGTH) :].split(b"\r\n", 1)[0])


async def serve(port: int) -> None:
    """Answer on this port until the process is ended."""
    held = _Held()
    server = await asyncio.get_running_loop().create_server(
        lambda: _Connection(held), HOST, port, backlog=_BACKLOG
    )
    await server.serve_forever()


if __name__ == "__main__":
    follow_parent()
    uvloop.run(serve(int(sys.argv[1])))
