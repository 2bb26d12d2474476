"""The `weighbridge` command; every command is a module of this room."""

import importlib
import sys
from typing import Annotated

import typer

from broker import __version__
from broker.records.errors import WeighbridgeError
from broker.supervisor.parent_death import follow_parent

app = typer.Typer(
    name="weighbridge",
    help="A durable request broker for LLM prompts over several clouds, on Apache Kafka.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

COMMANDS = (
    *("up", "demo", "send", "watch", "trace", "audit", "doctor"),
    *("classifier", "worker"),
)
GROUPS = ("kafka", "topics", "dlt", "config", "simulator")

for _name in COMMANDS:
    try:
        _module = importlib.import_module(f"broker.cli.{_name}")
    except ModuleNotFoundError:
        continue
    app.command(_name)(getattr(_module, _name))
for _name in GROUPS:
    try:
        _module = importlib.import_module(f"broker.cli.{_name}")
    except ModuleNotFoundError:
        continue
    app.add_typer(_module.app, name=_name)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"weighbridge {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    _version_wanted: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Say the version."),
    ] = False,
) -> None:
    """Exit codes: 0 done, 1 failed, 2 usage, 3 not ready or unreachable, 4 audit found a loss."""


def run() -> None:
    """Run the command line; a failure is one sentence and its exit code, not a traceback."""
    follow_parent()
    try:
        app()
    except WeighbridgeError as error:
        sys.stderr.write(f"weighbridge: {error}\n")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
