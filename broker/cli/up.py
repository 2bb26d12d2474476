"""`weighbridge up`: everything on this machine, until Ctrl-C."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from broker.cli.options import Config, Kafka, load_for_up

if TYPE_CHECKING:
    from rich.console import Console

    from broker.settings import Settings
    from broker.supervisor.machine import Machine


def up(config: Config = None, kafka: Kafka = None) -> None:
    """Run everything on this machine: Kafka, topics, the classifier and a pool for each provider.

    The simulator plays every provider without a `base_url`. Ctrl-C drains: calls under way are
    finished, what waits stays in Kafka.
    """
    import asyncio

    from rich.console import Console

    try:
        asyncio.run(_run(load_for_up(config, kafka), config, Console(stderr=True)))
    except asyncio.CancelledError:
        raise typer.Exit(130) from None


async def _run(settings: "Settings", config: Path | None, console: "Console") -> None:
    from broker.supervisor.machine import running_machine
    from broker.supervisor.signals import ending_on_signals

    def say(who: str, what: str) -> None:
        console.print(f"[bold]{who:>18}[/]  {what}", highlight=False)

    async with (
        ending_on_signals() as ending,
        running_machine(settings, config=config, say=say) as machine,
    ):
        ending.ready()
        _greet(machine, console)
        await ending.asked.wait()
        say("up", "draining; Ctrl-C again ends everything at once")


def _greet(machine: "Machine", console: "Console") -> None:
    plan = machine.plan
    console.print(f"\nReady in {machine.ready_s:.1f} s. Kafka at {machine.bootstrap}.")
    if plan.simulated:
        console.print(
            f"[bold yellow]No real provider is called:[/] the simulator plays "
            f"{', '.join(plan.simulated)}. Set providers.NAME.base_url and api_key to change that."
        )
    console.print(
        '\nTry, in another terminal:\n  echo "Why is the sky blue?" | weighbridge send - --wait\n'
        "  weighbridge watch\n  weighbridge audit\n",
        highlight=False,
    )
