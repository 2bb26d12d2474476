"""`python -m broker.bench`: measure, tell a program on standard output and a person beside it."""

import asyncio
import os
import sys
from dataclasses import replace
from typing import Annotated, Final

import orjson
import typer
from rich.console import Console

from broker.bench.figures import BY_NAME, Measured
from broker.bench.pace import FULL, QUICK
from broker.bench.run import Bench, Report
from broker.bench.site import forget_own_settings
from broker.bench.table import circumstances, figures_table, profile_table
from broker.records.errors import UsageError, WeighbridgeError
from broker.supervisor.signals import ending_on_signals
from broker.telemetry.open_files import allow_connections

FAILED: Final = 1
INTERRUPTED: Final = 130
_FILE_WIDTH: Final = 130

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def bench(
    *,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Measure only this figure; may be given again."),
    ] = None,
    runs: Annotated[int | None, typer.Option(min=1, help="Runs of each; 3, or 1 if quick.")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="One short run each: to see that it works.")
    ] = False,
    profile: Annotated[
        bool, typer.Option("--profile", help="Also where the CPU goes at 200/s, by thread.")
    ] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the folder with settings, logs and Kafka's data.")
    ] = False,
) -> None:
    """Measure the broker on this machine: about 15 minutes, with nothing else running.

    One JSON object a line on standard output; everything for people is on standard error. It has a
    Kafka of its own and touches no data of the user's. Exit code 1: a figure was not measured.
    """
    names = tuple(only or BY_NAME)
    unknown = [name for name in names if name not in BY_NAME]
    if unknown:
        raise UsageError(
            f"There is no figure {unknown[0]!r}.", mend=f"Known are: {', '.join(BY_NAME)}."
        )
    pace = QUICK if quick else FULL
    pace = replace(pace, runs=runs or pace.runs)
    forget_own_settings()
    allow_connections()
    load_before = os.getloadavg()[0]
    measuring = Bench(pace, frozenset(names), say=_say, emit=_emit, keep=keep, profile=profile)
    try:
        asyncio.run(_run(measuring))
    except asyncio.CancelledError:
        raise typer.Exit(INTERRUPTED) from None
    finally:
        _show(measuring.report, load_before, quick=quick)
    if measuring.report.failures:
        raise typer.Exit(FAILED)


async def _run(measuring: Bench) -> None:
    async with ending_on_signals():
        await measuring.run()


def _show(report: Report, load_before: float, *, quick: bool) -> None:
    wide = None if sys.stderr.isatty() else _FILE_WIDTH
    console = Console(stderr=True, highlight=False, soft_wrap=True, width=wide)
    if report.profile is not None:
        console.print(profile_table(report.profile))
    if report.measured:
        console.print(figures_table(report.measured, console.width))
    for failure in report.failures:
        console.print(f"not measured: {failure}", markup=False)
    console.print(circumstances(load_before, os.getloadavg()[0], quick=quick))


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _emit(measured: Measured) -> None:
    sys.stdout.write(f"{orjson.dumps(measured.as_json()).decode()}\n")
    sys.stdout.flush()


def main() -> None:
    """Run it; a failure is one sentence and its exit code."""
    try:
        app()
    except WeighbridgeError as error:
        _say(f"bench: {error}")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
