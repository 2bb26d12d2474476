"""`weighbridge demo`: the main job with kills and an outage, and an audit at the end."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from broker.demo.run import Outcome

FAULT = 4
PROMPTS = 640
SPEED = 2.4


def demo(
    *,
    prompts: Annotated[int, typer.Option(min=1, help="How many requests of the trace.")] = PROMPTS,
    speed: Annotated[
        float, typer.Option(min=0.01, help="How many times as fast as they were recorded.")
    ] = SPEED,
    faults: Annotated[
        bool, typer.Option("--faults/--no-faults", help="With or without the kills and the outage.")
    ] = True,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the audit there as JSON.")
    ] = None,
    kafka: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Use this broker, not the embedded one.")
    ] = None,
) -> None:
    """Replay a production trace through everything, break things meanwhile, and audit the topics.

    A worker and the classifier are killed with SIGKILL, a provider goes down for a while. No real
    provider is called; topics have the prefix `demo`. At the end the same prompts are replayed in
    virtual time to one cloud and to all. Exit code 4: a prompt was lost or doubled.
    """
    import asyncio

    import orjson
    from rich.console import Console

    from broker.demo.run import Options, run_demo

    console = Console(highlight=False, soft_wrap=True)
    options = Options(prompts, speed, faults, kafka)
    try:
        outcome = asyncio.run(run_demo(options, console, lambda one: _show(one, console)))
    except asyncio.CancelledError:
        raise typer.Exit(130) from None
    if json_file is not None:
        json_file.write_bytes(orjson.dumps(outcome.as_json(), option=orjson.OPT_INDENT_2) + b"\n")
    if not outcome.sound:
        raise typer.Exit(FAULT)


def _show(outcome: "Outcome", console: "Console") -> None:
    from broker.demo.comparison import comparison_table
    from broker.demo.table import verdict

    console.print()
    console.print(verdict(outcome.audit.figures.counts, outcome.board))
    for what, ids in (("lost", outcome.audit.lost_ids), ("doubled", outcome.audit.doubled_ids)):
        if ids:
            console.print(f"[red]{what}: {', '.join(ids)}[/]")
    console.print(comparison_table(outcome.compared))
    console.print(
        "\nTry next:\n"
        "  weighbridge up                                            # then, in another terminal:\n"
        '  echo "Why is the sky blue?" | weighbridge send - --wait   # any Kafka client will do\n'
        "  weighbridge watch"
    )
