"""`weighbridge send`: prompts in, and with `--wait` their answers out."""

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from broker.cli.options import AsJson, Config, Kafka, load
from broker.cli.output import say
from broker.records.errors import UsageError
from broker.records.prompt import Priority

if TYPE_CHECKING:
    from collections.abc import Iterator

    from broker.load.prompt_files import PromptFile


def send(
    text: Annotated[
        str | None, typer.Argument(metavar="[TEXT|-]", help="The prompt; - reads standard input.")
    ] = None,
    *,
    file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="JSON lines, or a CSV with a `prompt` column."),
    ] = None,
    identity: Annotated[
        str | None, typer.Option("--id", help="Its id, for one prompt; else one is made.")
    ] = None,
    tenant: Annotated[str | None, typer.Option(help="Who pays.")] = None,
    model: Annotated[str | None, typer.Option(help="A model of the settings.")] = None,
    priority: Annotated[Priority | None, typer.Option(help="How urgent it is.")] = None,
    provider: Annotated[str | None, typer.Option(help="Only this provider may answer.")] = None,
    max_output_tokens: Annotated[
        int | None, typer.Option(min=1, help="Longest answer, in tokens.")
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(min=0.0, help="Seconds after which an answer is of no use any more."),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Print the answers as they come.")] = False,
    stream: Annotated[
        bool, typer.Option("--stream", help="Print the answers as they grow; waits for them.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Save pictures and large answers there; waits for them."
        ),
    ] = None,
    wait_s: Annotated[
        float, typer.Option(min=0.0, help="Seconds to --wait after the last prompt was sent.")
    ] = 120.0,
    config: Config = None,
    kafka: Kafka = None,
    as_json: AsJson = False,
) -> None:
    """Send prompts: one TEXT, those of a FILE, or what standard input holds (-).

    Standard input that begins with { holds JSON objects: one on each line, or
    one over all of them. Any other input is a single prompt, as it is.

    A FILE is JSON lines or CSV, by its name (.jsonl, .csv) or by how it begins.
    Columns of a CSV are named like the fields of a prompt.

    Options hold for every prompt that does not say otherwise itself. Input that
    is wrong is told with its line, and nothing of it is sent.

    Prints the ids, or with --wait the answers: exit code 1 when one did not
    succeed, 3 when they were not all there in time.

    With --stream several answers grow side by side, in lines that begin with
    their ids. Several choices of one prompt (its field `n`) grow in a block each
    on a terminal, and are printed in turn elsewhere. When a call fails in the
    middle, a line beside the output says that what stands there is void, and the
    answer begins again: a script takes --wait, or --stream --json, which prints
    each piece and then the completion.

    With --out pictures become files named <id>-1.png, <id>-2.png and so on, whose
    paths are printed; their size and sum are checked. The settings' store has to
    be within reach.
    """
    given = {
        "tenant": tenant,
        "model": model,
        "priority": priority,
        "provider": provider,
        "max_output_tokens": max_output_tokens,
        "timeout_s": timeout,
        "stream": stream or None,
    }
    given = {name: value for name, value in given.items() if value is not None}
    with _input(text, file) as prompts:
        total = _survey(prompts, identity)
        if identity is not None:
            given["id"] = identity
        settings = load(config, kafka)

        from broker.cli.send_run import run_send

        run_send(
            settings,
            prompts,
            given,
            total=total,
            wait_s=wait_s if wait or stream or out is not None else None,
            as_json=as_json,
            stream=stream,
            out=out,
        )


@contextmanager
def _input(text: str | None, file: Path | None) -> "Iterator[PromptFile]":
    from broker.load.prompt_files import given_text, opened_file, opened_stream

    if (text is None) == (file is None):
        raise UsageError(
            "There is nothing to send." if text is None else "Both TEXT and --file are given.",
            mend="Give one of TEXT, --file FILE, or - for standard input.",
        )
    if file is not None:
        opened = opened_file(file)
    elif text == "-":
        if sys.stdin.isatty():
            say("Reading the prompt from the keyboard; Ctrl-D ends it.")
        opened = opened_stream(sys.stdin.buffer, "standard input")
    else:
        opened = given_text(text or "")
    with opened as prompts:
        yield prompts


def _survey(prompts: "PromptFile", identity: str | None) -> int:
    """Read everything once; how many prompts there are. Raises UsageError for what is wrong."""
    from broker.load.prompt_files import id_problem

    problem = None if identity is None else id_problem(identity)
    if problem:
        raise UsageError(f"--id is wrong: {problem}.", mend="Give another, or none.")
    total = 0
    for _ in prompts:
        total += 1
    if identity is not None and total > 1:
        raise UsageError(
            f"--id is for one prompt, and there are {total:,} in {prompts.name}.",
            mend="Give each its `id` in the input.",
        )
    left_out = prompts.left_out()
    if left_out:
        say(f"Left out, as they are no fields of a prompt: {', '.join(left_out)}.")
    return total
