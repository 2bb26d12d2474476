"""The faults of one call look the same below every dialect: on the wire, and in the counts."""

import contextlib
import socket
from dataclasses import dataclass
from typing import Any

import orjson
import pytest

from tests.simulator.speaking import CHAT, IMAGE, KEY, VECTOR, Speaking

CONTENT = {"contents": [{"role": "user", "parts": [{"text": "Why is the sky blue?"}]}]}
MESSAGES = {"messages": [{"role": "user", "content": "Why is the sky blue?"}]}
VERTEX = f"/google/v1beta1/projects/p/locations/l/publishers/google/models/{CHAT}"
DEPLOYED = f"/azure/openai/deployments/{CHAT}/chat/completions?api-version=2024-10-21"
RESPONSES = {"model": CHAT, "input": "Why is the sky blue?", "max_output_tokens": 60}
MOST = {"generationConfig": {"maxOutputTokens": 60}}


@dataclass(frozen=True, slots=True)
class Way:
    """One path of one cloud, and what is asked there."""

    cloud: str
    path: str
    body: dict[str, Any]
    streamed: bool = False


CHATTED = {"model": CHAT, **MESSAGES, "max_tokens": 60}
STREAMED = {**CHATTED, "stream": True}
OLLAMA = {"model": CHAT, **MESSAGES, "options": {"num_predict": 60}}
WAYS = {
    "openai": Way("openai", "/openai/v1/chat/completions", CHATTED),
    "openai-stream": Way("openai", "/openai/v1/chat/completions", STREAMED, streamed=True),
    "responses": Way("openai", "/openai/v1/responses", RESPONSES),
    "responses-stream": Way(
        "openai", "/openai/v1/responses", {**RESPONSES, "stream": True}, streamed=True
    ),
    "pictures": Way("openai", "/openai/v1/images/generations", {"model": IMAGE, "prompt": "A"}),
    "vectors": Way("openai", "/openai/v1/embeddings", {"model": VECTOR, "input": "A"}),
    "azure": Way("azure", "/azure/openai/v1/chat/completions", CHATTED),
    "azure-stream": Way("azure", DEPLOYED, STREAMED, streamed=True),
    "gemini": Way("google", f"{VERTEX}:generateContent", {**CONTENT, **MOST}),
    "gemini-array": Way(
        "google", f"{VERTEX}:streamGenerateContent", {**CONTENT, **MOST}, streamed=True
    ),
    "gemini-stream": Way(
        "google", f"{VERTEX}:streamGenerateContent?alt=sse", {**CONTENT, **MOST}, streamed=True
    ),
    "ollama": Way("own", "/own/api/chat", {**OLLAMA, "stream": False}),
    "ollama-stream": Way("own", "/own/api/chat", OLLAMA, streamed=True),
    "vllm": Way("coreweave", "/coreweave/v1/chat/completions", CHATTED),
    "vllm-stream": Way("coreweave", "/coreweave/v1/chat/completions", STREAMED, streamed=True),
}
EVERY_WAY = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


def ask(clouds: Speaking, way: Way, *, deadline_s: float = 20.0) -> bytes:
    """All bytes of the reply on the wire, head included, until the server closes."""
    body = orjson.dumps(way.body)
    host, port = clouds.url.removeprefix("http://").split(":")
    head = (
        f"POST {way.path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {KEY}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    with socket.create_connection((host, int(port)), timeout=deadline_s) as wire:
        wire.sendall(head.encode() + body)
        found = bytearray()
        while piece := wire.recv(65_536):
            found += piece
    return bytes(found)


def outcomes(clouds: Speaking, way: Way) -> tuple[Any, int]:
    served = clouds.remote.served(way.cloud)[way.cloud]
    return served["outcomes"], served["answered"]


@EVERY_WAY
def test_a_good_call_is_counted_as_one(clouds: Speaking, way: Way) -> None:
    assert ask(clouds, way).startswith(b"HTTP/1.1 200 OK\r\n")
    assert outcomes(clouds, way) == ({"ok": 1}, 1)


@EVERY_WAY
def test_an_answer_that_is_cut_is_shorter_and_not_counted(clouds: Speaking, way: Way) -> None:
    clouds.remote.set_faults(way.cloud, {"cut_streams": 1.0})
    cut = ask(clouds, way)
    assert outcomes(clouds, way) == ({"cut_streams": 1}, 0)
    clouds.remote.clear_faults()
    assert len(cut) < len(ask(clouds, way))
    ends = (b"[DONE]", b'"done":true', b'"STOP"', b"response.completed")
    assert not way.streamed or not any(end in cut for end in ends)


@EVERY_WAY
def test_a_connection_that_is_reset_gives_nothing(clouds: Speaking, way: Way) -> None:
    for fault in ({"cuts": 1.0}, {"outages": [{"to_s": 600}], "outage_as": "cut"}):
        clouds.remote.set_faults(way.cloud, fault, keep=False)
        with contextlib.suppress(ConnectionError):
            assert ask(clouds, way) == b""


def read(reply: bytes, way: Way) -> None:
    """Read the JSON of a reply, or of each of its events."""
    _, _, body = reply.partition(b"\r\n\r\n")
    if way.path.endswith(":streamGenerateContent") or not way.streamed:
        orjson.loads(body)
    for event in body.replace(b"\r\n", b"\n").split(b"\n"):
        if event.startswith(b"{"):
            orjson.loads(event)
        if event.startswith(b"data: ") and not event.endswith(b"[DONE]"):
            orjson.loads(event.removeprefix(b"data: "))


@EVERY_WAY
def test_a_malformed_answer_is_no_json(clouds: Speaking, way: Way) -> None:
    clouds.remote.set_faults(way.cloud, {"malformed": 1.0})
    broken = ask(clouds, way)
    with pytest.raises(orjson.JSONDecodeError):
        read(broken, way)
    assert outcomes(clouds, way) == ({"malformed": 1}, 0)


# A picture would come in some ten thousand pieces.
@pytest.mark.parametrize("way", [way for name, way in WAYS.items() if name != "pictures"])
def test_a_slow_answer_is_whole_all_the_same(clouds: Speaking, way: Way) -> None:
    clouds.remote.set_faults(way.cloud, {"slow": 1.0, "slow_gap_s": 0.000_1})
    slow = ask(clouds, way)
    assert outcomes(clouds, way) == ({"slow": 1}, 1)
    ends = (
        b"[DONE]",
        b"STOP",
        b'"status":"completed"',
        b'"total_tokens"',
        b'"finish_reason":"stop"',
        b'"done":true',
    )
    joined = slow.replace(b"\r\n8\r\n", b"")
    assert any(end in joined for end in ends)


@EVERY_WAY
def test_a_call_that_hangs_gets_no_byte(clouds: Speaking, way: Way) -> None:
    for fault in ({"hangs": 1.0}, {"outages": [{"to_s": 600}], "outage_as": "hang"}):
        clouds.remote.set_faults(way.cloud, fault, keep=False)
        with pytest.raises(TimeoutError):
            ask(clouds, way, deadline_s=0.1)
