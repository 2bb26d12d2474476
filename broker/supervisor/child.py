"""One child process: the command a user would type, its log file, and whether it is ready."""

import asyncio
import os
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from broker.core.restarts import RestartBackoff
from broker.supervisor.parent_death import PARENT_VARIABLE

LOG_BYTES = 10 * 1024 * 1024
"""A log above this size is set aside (one older file is kept) when its child starts."""
TAIL_LINES = 12
READY_POLL_S = 0.1
READY_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """What to run: `arguments` of `weighbridge`, settings by environment, and where it says ready.

    `ready_url` answers 200 once the child does its work.
    """

    name: str
    arguments: tuple[str, ...]
    ready_url: str
    environment: dict[str, str] = field(default_factory=dict)


class Child:
    """A running or dead child.

    `starts` counts how often it was started; `last_code` is how it ended last, None before.
    """

    def __init__(self, spec: ChildSpec, log_folder: Path) -> None:
        self.spec = spec
        self.backoff = RestartBackoff()
        self.starts = 0
        self.ready = False
        self.last_code: int | None = None
        self.log_file = log_folder / f"{spec.name}.log"
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def start(self) -> None:
        """Start the process; it gets its own session so that Ctrl-C reaches only the supervisor."""
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        if self.log_file.exists() and self.log_file.stat().st_size > LOG_BYTES:
            self.log_file.replace(self.log_file.with_suffix(".log.1"))
        environment = {
            **os.environ,
            **self.spec.environment,
            PARENT_VARIABLE: str(os.getpid()),
            "PYTHONUNBUFFERED": "1",
        }
        self.ready = False
        with self.log_file.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self.command(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )
        self.starts += 1

    def command(self) -> list[str]:
        """The whole command line, so that `ps` explains itself."""
        return [*weighbridge_command(), *self.spec.arguments]

    async def wait(self) -> int:
        """Wait for the end of the process; its exit code, or minus the signal that ended it."""
        if self._process is None:
            return 0
        self.last_code = code = await self._process.wait()
        self.ready = False
        return code

    def send(self, number: signal.Signals) -> bool:
        """Send a signal; False when the child is not running."""
        if self.pid is None or self._process is None:
            return False
        try:
            self._process.send_signal(number)
        except ProcessLookupError:
            return False
        return True

    async def wait_ready(self, session: aiohttp.ClientSession) -> None:
        """Ask `ready_url` until it says yes or the process ends; the caller sets a deadline."""
        while self.pid is not None:
            if await self._says_ready(session):
                self.ready = True
                return
            await asyncio.sleep(READY_POLL_S)

    async def _says_ready(self, session: aiohttp.ClientSession) -> bool:
        timeout = aiohttp.ClientTimeout(total=READY_TIMEOUT_S)
        try:
            async with session.get(self.spec.ready_url, timeout=timeout) as answer:
                return answer.status == 200  # noqa: PLR2004 - HTTP's OK
        except (aiohttp.ClientError, TimeoutError):
            return False

    def last_lines(self) -> str:
        """The end of the log, for the message that says why the child does not come up."""
        try:
            with self.log_file.open("rb") as log:
                log.seek(max(0, self.log_file.stat().st_size - 8_192))
                lines = log.read().decode(errors="replace").splitlines()
        except OSError:
            return "(no log)"
        return "\n".join(lines[-TAIL_LINES:])


def weighbridge_command() -> list[str]:
    """How to run `weighbridge` from here: the command beside this Python, or the module."""
    beside = Path(sys.executable).with_name("weighbridge")
    return [str(beside)] if beside.exists() else [sys.executable, "-m", "broker.cli"]
