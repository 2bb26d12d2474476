"""The figures, and the profile, for people."""

import os
from collections.abc import Sequence
from typing import Final

from rich import box
from rich.console import RenderableType
from rich.table import Table

from broker.bench.figures import Measured, rounded
from broker.bench.profile import ProcessProfile, Profile
from broker.bench.usage import Cpu

_TOLD_FROM: Final = 125
_LEAST: Final = 0.01
"""Threads below this share of what all use together are not worth a row."""


def figures_table(measured: Sequence[Measured], width: int) -> RenderableType:
    """One row a figure; what it is where there is room."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    told = width >= _TOLD_FROM
    table.add_column("figure", no_wrap=True)
    table.add_column("unit", no_wrap=True)
    for name in ("median", "min", "max", "runs", "target"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("met", no_wrap=True)
    if told:
        table.add_column("what", no_wrap=True)
    for one in measured:
        figure = one.figure
        values = (one.median, min(one.values), max(one.values))
        table.add_row(
            figure.name,
            figure.unit,
            *(f"{rounded(value):,g}" for value in values),
            str(len(one.values)),
            f"{'≥' if figure.better == 'higher' else '≤'} {figure.target:,g}",
            "[green]yes[/]" if one.met else "[red]no[/]",
            *((figure.what,) if told else ()),
        )
    return table


def circumstances(load_before: float, load_after: float, *, quick: bool) -> str:
    """What the figures have to be read with."""
    cores = len(os.sched_getaffinity(0))
    short = "QUICK: one short run each, not to be compared. " if quick else ""
    return (
        f"{short}{cores} cores, shared by broker, classifier, worker, stand-in, generator and "
        f"whatever else runs here: expect noise. Load average {load_before:.1f} before, "
        f"{load_after:.1f} after."
    )


def profile_table(profile: Profile) -> RenderableType:
    """CPU seconds per 1,000 prompts by process, and by thread where it is worth a row."""
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        title=f"CPU s per 1,000 prompts at {profile.rate:.0f}/s",
        title_justify="left",
    )
    table.add_column("process, threads", no_wrap=True)
    for name in ("count", "user", "system", "both", "of a core"):
        table.add_column(name, justify="right")
    everything = sum(process.cpu.total for process in profile.processes)
    for process in profile.processes:
        table.add_row(f"[bold]{process.name}[/]", "", *_columns(process.cpu, profile))
        for name, count, cpu in _busy(process, everything):
            table.add_row(f"  {name}", str(count), *_columns(cpu, profile))
    return table


def _busy(process: ProcessProfile, everything: float) -> list[tuple[str, int, Cpu]]:
    return [row for row in process.threads if row[2].total >= _LEAST * everything]


def _columns(cpu: Cpu, profile: Profile) -> tuple[str, str, str, str]:
    per_1000 = 1000 / profile.prompts
    share = cpu.total * profile.rate / profile.prompts
    each = (cpu.user * per_1000, cpu.system * per_1000, cpu.total * per_1000)
    user, system, both = (f"{value:.2f}" for value in each)
    return user, system, both, f"{share:.0%}"
