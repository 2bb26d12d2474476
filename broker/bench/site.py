"""What all measurements share: a folder, a broker of their own, and the provider's stand-in."""

import asyncio
import contextlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp

from broker.bench.failing import MeasurementFailedError
from broker.bench.figures import quantile
from broker.bench.stand_in import HOST
from broker.log.embedded import EmbeddedKafka
from broker.log.embedded.jars import JARS_VARIABLE
from broker.records.errors import NotReadyError
from broker.settings.origins import PREFIX
from broker.supervisor.parent_death import PARENT_VARIABLE
from broker.supervisor.ports import free_ports

Say = Callable[[str], None]
"""Told each step, for a person."""
READY_S: Final = 120.0
_ENDS_S: Final = 5.0
_ASK_S: Final = 10.0
_PROBES: Final = 200


class StandIn:
    """The stand-in's process as seen from here.

    `url` is its API, `held_url` one that holds, `streamed_url` one that streams.
    """

    def __init__(self, port: int, pid: int) -> None:
        self._root = f"http://{HOST}:{port}"
        self.pid = pid
        self.url = f"{self._root}/v1"
        self.held_url = f"{self._root}/held/v1"
        self.streamed_url = f"{self._root}/streamed/v1"

    async def held(self) -> int:
        """How many calls it keeps open now."""
        return int((await self._ask("GET", "/held"))["held"])

    async def release(self) -> int:
        """Answer them; how many there were."""
        return int((await self._ask("POST", "/release"))["released"])

    async def answers_in_ms(self) -> float:
        """The median of some calls, one after the other on one connection."""
        took = []
        async with aiohttp.ClientSession() as session:
            for _ in range(_PROBES):
                began = time.perf_counter()
                async with session.post(f"{self.url}/chat/completions", json={}) as reply:
                    await reply.read()
                took.append((time.perf_counter() - began) * 1000)
        return quantile(sorted(took), 0.5)

    async def _ask(self, method: str, path: str) -> dict[str, Any]:
        timeout = aiohttp.ClientTimeout(total=_ASK_S)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.request(method, self._root + path) as reply,
            ):
                answer: dict[str, Any] = await reply.json()
                return answer
        except (aiohttp.ClientError, TimeoutError) as error:
            raise MeasurementFailedError(f"The stand-in does not answer: {error}.") from error


@dataclass(frozen=True, slots=True)
class Site:
    """Where the measurements happen. `folder` holds data, settings and logs, and goes with them."""

    folder: Path
    bootstrap: str
    broker_pid: int
    stand_in: StandIn
    say: Say

    def write_settings(self, name: str, sections: Mapping[str, Any]) -> Path:
        """A settings file with this content."""
        path = self.folder / f"{name}.toml"
        path.write_text(to_toml(sections), encoding="utf-8")
        return path


@asynccontextmanager
async def opened_site(say: Say, *, keep: bool) -> AsyncIterator[Site]:
    """Start broker and stand-in, and leave nothing behind; `keep` leaves the folder."""
    folder = Path(tempfile.mkdtemp(prefix="weighbridge-bench-"))
    try:
        async with _broker(folder / "kafka", say) as (bootstrap, pid), _stand_in() as stand_in:
            ms = await stand_in.answers_in_ms()
            say(f"broker ready at {bootstrap}; the stand-in answers in {ms:.2f} ms")
            yield Site(folder, bootstrap, pid, stand_in, say)
    finally:
        if keep:
            say(f"settings, logs and data are kept in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


def forget_own_settings() -> None:
    """Take the user's settings out of this process's environment: the children inherit it."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        if name != JARS_VARIABLE:
            del os.environ[name]


@asynccontextmanager
async def _broker(folder: Path, say: Say) -> AsyncIterator[tuple[str, int]]:
    kafka = EmbeddedKafka(folder, profile="full", owned=True)
    starting = asyncio.create_task(asyncio.to_thread(kafka.start, READY_S, progress=say))
    try:
        running = await asyncio.shield(starting)
        yield running.bootstrap, running.pid
    finally:
        # A thread cannot be cancelled: what it starts after all has to be found and ended.
        await asyncio.gather(starting, return_exceptions=True)
        await asyncio.to_thread(kafka.stop)


@asynccontextmanager
async def _stand_in() -> AsyncIterator[StandIn]:
    (port,) = free_ports(1)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "broker.bench.stand_in", str(port)),
        stdin=asyncio.subprocess.DEVNULL,
        env={**os.environ, PARENT_VARIABLE: str(os.getpid())},
        start_new_session=True,
    )
    try:
        await _listening(port, process)
        yield StandIn(port, process.pid)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _ENDS_S)


async def _listening(port: int, process: asyncio.subprocess.Process) -> None:
    ends = time.monotonic() + READY_S
    while process.returncode is None and time.monotonic() < ends:
        try:
            _, writer = await asyncio.open_connection(HOST, port)
        except OSError:
            await asyncio.sleep(0.05)
            continue
        writer.close()
        await writer.wait_closed()
        return
    raise NotReadyError("The bench's stand-in for a provider did not come up.")


def to_toml(sections: Mapping[str, Any]) -> str:
    """Sections of texts, numbers, truth values and further sections as TOML."""
    lines: list[str] = []
    _write_section("", sections, lines)
    return "\n".join(lines) + "\n"


def _write_section(name: str, section: Mapping[str, Any], lines: list[str]) -> None:
    inner = {key: value for key, value in section.items() if isinstance(value, Mapping)}
    plain = {key: value for key, value in section.items() if key not in inner}
    if name and (plain or not inner):
        lines.append(f"[{name}]")
    # JSON's texts, numbers and truth values are TOML's too.
    lines.extend(f"{json.dumps(key)} = {json.dumps(value)}" for key, value in plain.items())
    for key, value in inner.items():
        _write_section(f"{name}.{json.dumps(key)}" if name else json.dumps(key), value, lines)
