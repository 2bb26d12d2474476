"""Children for tests: real processes of `child_program.py`, and what was told of them."""

import asyncio
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from broker.supervisor.child import ChildSpec
from broker.supervisor.ports import free_ports
from broker.supervisor.supervisor import ChildEvent, Supervisor

PROGRAM = Path(__file__).with_name("child_program.py")
COMMAND = [sys.executable, str(PROGRAM)]
DEADLINE_S = 30.0


@dataclass
class Family:
    """Specs for one test, the events of their supervisor, and the children's own notes."""

    folder: Path
    specs: list[ChildSpec] = field(default_factory=list)
    events: list[ChildEvent] = field(default_factory=list)

    @property
    def notes(self) -> Path:
        return self.folder / "notes"

    def add(self, name: str, *arguments: str) -> None:
        (port,) = free_ports(1)
        told = ("--port", str(port), "--notes", str(self.notes), "--name", name, *arguments)
        url = f"http://127.0.0.1:{port}/readyz"
        here = {"PYTHONPATH": str(Path(__file__).parents[2])}
        self.specs.append(ChildSpec(name, told, url, here))

    def supervisor(self) -> Supervisor:
        return Supervisor(self.specs, log_folder=self.folder / "logs", on_event=self.events.append)

    def noted(self, what: str) -> list[str]:
        if not self.notes.exists():
            return []
        return [line for line in self.notes.read_text().splitlines() if what in line]

    def kinds(self, name: str) -> list[str]:
        return [event.kind for event in self.events if event.name == name]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 - files and processes send no event
            await asyncio.sleep(0.02)


def wait_until(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.02)


def is_gone(pid: int) -> bool:
    """Whether the process is no more, or only waits for its parent to take note."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True
