"""The `weighbridge` command; every command is a module of this room."""

import sys
from typing import Annotated

import typer

from broker import __version__
from broker.cli.lazy_group import LazyCommand, LazyGroup
from broker.records.errors import WeighbridgeError
from broker.supervisor.parent_death import follow_parent

_RUN, _ASK, _LOOK, _PARTS = "Run", "Prompts", "Look closer", "One part each"

COMMANDS = (
    LazyCommand("up", "Run everything on this machine, until Ctrl-C.", _RUN),
    LazyCommand("demo", "Replay a real trace with kills and an outage, then audit it.", _RUN),
    LazyCommand("kafka", "The embedded Apache Kafka: start, stop, status, wipe.", _RUN),
    LazyCommand("topics", "What should be, what is, what would change.", _RUN),
    LazyCommand("send", "Send prompts: a text, a JSONL or CSV file, or standard input.", _ASK),
    LazyCommand("watch", "Show completions as they come.", _ASK),
    LazyCommand("status", "Where a prompt is, and when it should be done.", _ASK),
    LazyCommand("cancel", "End prompts: what waits, and what is being answered.", _ASK),
    LazyCommand("trace", "Tell one prompt's whole story, from the topics alone.", _ASK),
    LazyCommand("explain", "Say why a prompt went where it went, or where one would go.", _ASK),
    LazyCommand("audit", "Count prompts against completions: lost, duplicates, calls.", _LOOK),
    LazyCommand("simulate", "Try policies on yesterday's log, or on a trace.", _LOOK),
    LazyCommand("lanes", "What is light and heavy, and how that changed.", _LOOK),
    LazyCommand("tenants", "What tenants have used of their limits, and what is left.", _LOOK),
    LazyCommand("dlt", "Dead letters: list, show, replay.", _LOOK),
    LazyCommand("store", "Pictures, large answers, large inputs: list, put, gc.", _LOOK),
    LazyCommand("doctor", "Say what is wrong and how to mend it.", _LOOK),
    LazyCommand("config", "Show and check the settings.", _LOOK),
    LazyCommand("classifier", "Weigh and route prompts.", _PARTS),
    LazyCommand("worker", "Call one provider.", _PARTS),
    LazyCommand("simulator", "Stand in for providers: four clouds on one port.", _PARTS),
    LazyCommand("local-model", "Serve a GGUF model on this machine with llama.cpp.", _PARTS),
)


class _Root(LazyGroup):
    lazy = COMMANDS


app = typer.Typer(
    name="weighbridge",
    cls=_Root,
    help="A durable request broker for LLM prompts over several clouds, on Apache Kafka.",
    epilog="Exit codes: 0 done, 1 failed, 2 usage, 3 not ready or unreachable, 4 audit found a "
    "loss or a duplicate.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


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
    pass


def run() -> None:
    """Run the command line; a failure is one sentence and its exit code, not a traceback."""
    follow_parent()
    try:
        app()
    except WeighbridgeError as error:
        _say(str(error))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:  # noqa: BLE001 - what nobody foresaw must not print values
        from broker.cli.crash_note import note_crash

        # Nothing else of the command line: it may be a prompt.
        names = {command.name for command in COMMANDS}
        _say(note_crash(error, next((word for word in sys.argv if word in names), None)))
        sys.exit(1)


def _say(text: str) -> None:
    sys.stderr.write(f"weighbridge: {text}\n")
