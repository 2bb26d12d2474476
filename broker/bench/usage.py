"""CPU and memory of processes, and of their threads by name, from /proc (Linux)."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from broker.bench.failing import MeasurementFailedError

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PROC: Final = Path("/proc")
_NUMBER: Final = re.compile(r"\d+$")
_USER, _SYSTEM = 11, 12
"""Places of utime and stime in /proc/.../stat after the name, which is the second field."""


@dataclass(frozen=True, slots=True)
class Cpu:
    """CPU seconds used so far, or between two moments."""

    user: float
    system: float

    @property
    def total(self) -> float:
        """Both."""
        return self.user + self.system

    def since(self, earlier: "Cpu") -> "Cpu":
        """What was used from `earlier` on."""
        return Cpu(self.user - earlier.user, self.system - earlier.system)

    def plus(self, other: "Cpu") -> "Cpu":
        """Both together."""
        return Cpu(self.user + other.user, self.system + other.system)


NONE: Final = Cpu(0.0, 0.0)


def cpu_of(pid: int) -> Cpu:
    """All threads of a process, ended ones too; raises MeasurementFailedError when it is gone."""
    return parse_stat(_read(_PROC / str(pid) / "stat"))[1]


def rss_mb(pid: int) -> float:
    """Memory of a process that lies in RAM, in millions of bytes."""
    try:
        return float(psutil.Process(pid).memory_info().rss) / 1e6
    except psutil.Error as error:
        raise _gone(pid) from error


def threads_of(pid: int) -> dict[int, tuple[str, Cpu]]:
    """Each thread that runs now: its name (at most 15 characters) and what it used, by its id."""
    found: dict[int, tuple[str, Cpu]] = {}
    try:
        tasks = sorted((_PROC / str(pid) / "task").iterdir())
    except OSError as error:
        raise _gone(pid) from error
    for task in tasks:
        try:
            found[int(task.name)] = parse_stat((task / "stat").read_text("utf-8", "replace"))
        except OSError:
            continue  # it ended just now
    return found


def by_thread_name(
    before: Mapping[int, tuple[str, Cpu]], after: Mapping[int, tuple[str, Cpu]], main: int
) -> list[tuple[str, int, Cpu]]:
    """(name, threads, used in between) for threads alike but for a number, the busiest first.

    Python's threads all have the name of the first one, `main`: each of those has a row of its
    own, numbered in the order of their starts. Those that ended in between are not in it.
    """
    own_name = after[main][0] if main in after else ""
    used: dict[str, Cpu] = {}
    counts: Counter[str] = Counter()
    for place, (thread, (name, cpu)) in enumerate(sorted(after.items())):
        label = _NUMBER.sub("N", name)
        if thread == main:
            label = f"{name} (main)"
        elif name == own_name:
            label = f"{name} (thread {place})"
        earlier = before[thread][1] if thread in before else NONE
        used[label] = used.get(label, NONE).plus(cpu.since(earlier))
        counts[label] += 1
    rows = [(name, counts[name], cpu) for name, cpu in used.items()]
    return sorted(rows, key=lambda row: -row[2].total)


def total(cpus: Iterable[Cpu]) -> Cpu:
    """All together."""
    added = NONE
    for cpu in cpus:
        added = added.plus(cpu)
    return added


def parse_stat(text: str) -> tuple[str, Cpu]:
    """The name and the CPU in one line of a `stat` file of /proc."""
    head, _, rest = text.rpartition(")")
    fields = rest.split()
    return head.partition("(")[2], Cpu(int(fields[_USER]) / _TICKS, int(fields[_SYSTEM]) / _TICKS)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError as error:
        raise _gone(int(path.parent.name)) from error


def _gone(pid: int) -> MeasurementFailedError:
    return MeasurementFailedError(f"The process {pid} ended while it was measured.")
