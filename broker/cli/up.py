"""`weighbridge up`: everything on this machine, until Ctrl-C."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from broker.cli.options import Config, Kafka, load_for_up

if TYPE_CHECKING:
    from rich.console import Console

    from broker.settings import Settings
    from broker.supervisor.machine import Machine


def up(
    config: Config = None,
    kafka: Kafka = None,
    local_model: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.gguf", help="Answer every chat prompt with this model, on this machine."
        ),
    ] = None,
) -> None:
    """Run everything on this machine: Kafka, topics, the classifier and a pool for each provider.

    The simulator plays every provider without a `base_url`. Ctrl-C drains: calls under way are
    finished, what waits stays in Kafka.

    With `--local-model` llama.cpp answers, without any key, and no other provider is asked for
    chat. It needs the extra "local" of this package.
    """
    import asyncio

    from rich.console import Console

    settings = load_for_up(config, kafka)
    if local_model is not None:
        local_model, settings = _with(local_model, settings)
    try:
        asyncio.run(_run(settings, config, local_model, Console(stderr=True)))
    except asyncio.CancelledError:
        raise typer.Exit(130) from None


def _with(file: Path, settings: "Settings") -> tuple[Path, "Settings"]:
    """The file's whole path, and the settings with its model for chat; raises UsageError."""
    from broker.settings.local_model import with_local_model
    from broker.supervisor.local_plan import HOST
    from broker.supervisor.model_server import model_file
    from broker.supervisor.ports import free_ports

    path = model_file(file)
    (port,) = free_ports(1)
    return path, with_local_model(settings, url=f"http://{HOST}:{port}", name=path.stem)


async def _run(
    settings: "Settings", config: Path | None, local_model: Path | None, console: "Console"
) -> None:
    from broker.supervisor.machine import running_machine
    from broker.supervisor.signals import ending_on_signals

    def say(who: str, what: str) -> None:
        console.print(f"[bold]{who:>18}[/]  {what}", highlight=False)

    async with (
        ending_on_signals() as ending,
        running_machine(settings, config=config, say=say, local_model=local_model) as machine,
    ):
        ending.ready()
        _greet(machine, console)
        await ending.asked.wait()
        say("up", "draining; Ctrl-C again ends everything at once")


def _greet(machine: "Machine", console: "Console") -> None:
    plan = machine.plan
    console.print(f"\nReady in {machine.ready_s:.1f} s. Kafka at {machine.bootstrap}.")
    if plan.local_model is not None:
        console.print(
            f"[bold green]Chat is answered on this machine[/] by {plan.local_model.stem} "
            "(provider `local`); no other provider is asked for it.",
            highlight=False,
        )
    if plan.simulated and plan.local_model is not None:
        console.print(f"The simulator plays {', '.join(plan.simulated)} for everything else.")
    elif plan.simulated:
        console.print(
            f"[bold yellow]No real provider is called:[/] the simulator plays "
            f"{', '.join(plan.simulated)}. Set providers.NAME.base_url and api_key to change that, "
            "or give a model with --local-model."
        )
    console.print(
        '\nTry, in another terminal:\n  echo "Why is the sky blue?" | weighbridge send - --wait\n'
        "  weighbridge watch\n  weighbridge audit\n",
        highlight=False,
    )
