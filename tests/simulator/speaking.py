"""A simulator whose clouds speak every dialect, in a thread, for clients that block."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import uvloop

from broker.settings import Settings, load_settings
from tests.simulator.running import QUICK
from workers.simulator.remote import RemoteSimulator
from workers.simulator.server import SimulatorServer

KEY = "the-only-key"
DIALECTS = {
    "openai": "openai",
    "azure": "azure",
    "google": "gemini",
    "coreweave": "vllm",
    "own": "ollama",
}
CHAT, IMAGE, VECTOR = "chat-1", "image-1", "vector-1"
PREDICTED = "text-embedding-005"
"""A name for which google-genai asks by `predict`; names with `gemini` it asks by embedContent."""
GEMINI_VECTOR = "gemini-embedding-2"
NAMES = (CHAT, IMAGE, VECTOR, PREDICTED, GEMINI_VECTOR)
DEADLINE_S = 20.0


@dataclass(frozen=True, slots=True)
class Speaking:
    """A running one, and how to talk to its own paths."""

    url: str
    remote: RemoteSimulator

    def well(self) -> None:
        """Nothing goes wrong any more, and there is room as at first."""
        self.remote.clear_faults()
        self.remote.reset_capacity()


def four_dialects(**cloud: Any) -> Settings:
    """Settings of clouds with a dialect each and all else the same."""
    given = {**QUICK, "per_picture_s": 0.0, "api_key": KEY, "dimensions": 256, **cloud}
    models = dict.fromkeys(NAMES)
    return load_settings(
        models={name: {} for name in models},
        providers={
            name: {"dialect": dialect, "models": {alias: alias for alias in models}}
            for name, dialect in DIALECTS.items()
        },
        simulator={"clouds": dict.fromkeys(DIALECTS, given)},
    )


@contextlib.contextmanager
def speaking(settings: Settings) -> Iterator[Speaking]:
    """The simulator while the block runs."""
    started = threading.Event()
    ports: list[int] = []
    loops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def serve() -> None:
        server = SimulatorServer(settings)
        ending = asyncio.Event()
        loops.append((asyncio.get_running_loop(), ending))
        ports.append(await server.start("127.0.0.1", 0))
        started.set()
        try:
            await ending.wait()
        finally:
            await server.stop()

    thread = threading.Thread(target=uvloop.run, args=(serve(),), daemon=True)
    thread.start()
    assert started.wait(DEADLINE_S)
    url = f"http://127.0.0.1:{ports[0]}"
    try:
        yield Speaking(url, RemoteSimulator(url))
    finally:
        loop, ending = loops[0]
        loop.call_soon_threadsafe(ending.set)
        thread.join(DEADLINE_S)
        assert not thread.is_alive()
