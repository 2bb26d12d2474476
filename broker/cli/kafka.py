"""`weighbridge kafka`: the embedded broker."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from broker.log.embedded import EmbeddedKafka

app = typer.Typer(
    help="The embedded Apache Kafka: one real broker on this machine, for this user.",
    no_args_is_help=True,
)


@app.command()
def start(
    port: Annotated[
        int | None,
        typer.Option(
            min=1024,
            max=65535,
            help="Where clients connect; by default the port of the last start, at first a free "
            "one.",
        ),
    ] = None,
    deadline_s: Annotated[float, typer.Option("--deadline", help="Seconds to wait for it.")] = 60.0,
) -> None:
    """Start it (the first time fetches it) and leave it running; data of the last time are kept."""
    kafka = _kafka()
    running = kafka.start(deadline_s, port=port, progress=_say)
    _say("already running" if running.ready_s == 0 else f"ready in {running.ready_s:.1f} s")
    typer.echo(running.bootstrap)


@app.command()
def stop(
    deadline_s: Annotated[
        float, typer.Option("--deadline", help="Seconds until it is ended by force.")
    ] = 30.0,
) -> None:
    """Stop it. The data stay."""
    _say("stopped; its data are kept" if _kafka().stop(deadline_s) else "was not running")


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Say whether it runs, and where."""
    found = _kafka().status()
    if as_json:
        import orjson

        typer.echo(orjson.dumps(asdict(found)).decode())
    elif found.running:
        typer.echo(f"Apache Kafka {found.version} runs at {found.bootstrap}; data in {found.data}")
    else:
        typer.echo(f"not running; data in {found.data}")


@app.command()
def wipe(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove its data, log and port. It must be stopped."""
    kafka = _kafka()
    if not yes:
        typer.confirm(f"Remove every topic and record in {kafka.files.root}?", abort=True)
    kafka.wipe()
    _say(f"removed {kafka.files.root}")


@app.command()
def fetch() -> None:
    """Fetch and prepare it now, so that a later start is quick and needs no network."""
    folder = _kafka().prepare(_say)
    _say(f"ready to start; every jar in {folder} is verified")


def _kafka() -> "EmbeddedKafka":
    from broker.log.clients import embedded_folder
    from broker.log.embedded import EmbeddedKafka

    return EmbeddedKafka(embedded_folder(), profile="full")


def _say(text: str) -> None:
    typer.echo(f"kafka: {text}", err=True)
