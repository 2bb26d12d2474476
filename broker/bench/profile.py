"""Where the CPU goes at a steady rate, by process and by thread."""

import os
from dataclasses import dataclass

from broker.bench.usage import Cpu, by_thread_name, cpu_of, threads_of
from broker.bench.whole_way import WholeWay


@dataclass(frozen=True, slots=True)
class ProcessProfile:
    """One process: what it used, and its threads by name, (name, threads, used), busiest first."""

    name: str
    cpu: Cpu
    threads: tuple[tuple[str, int, Cpu], ...]


@dataclass(frozen=True, slots=True)
class Profile:
    """All processes over one run of so many prompts at `rate` a second."""

    rate: float
    prompts: int
    processes: tuple[ProcessProfile, ...]


async def profiled(way: WholeWay, rate: float) -> Profile:
    """One more run at this rate, looked at closely. Raises MeasurementFailedError."""
    pids = {**way.pids, **way.pids_beside, "bench (generator, reader)": os.getpid()}
    before = {name: (cpu_of(pid), threads_of(pid)) for name, pid in pids.items()}
    steady = await way.steady(rate)
    found = []
    for name, pid in pids.items():
        cpu, threads = before[name]
        rows = by_thread_name(threads, threads_of(pid), pid)
        found.append(ProcessProfile(name, cpu_of(pid).since(cpu), tuple(rows)))
    return Profile(rate, steady.prompts, tuple(found))
