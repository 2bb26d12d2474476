"""`weighbridge trace ID`: one prompt's whole story, from the topics alone."""

from typing import TYPE_CHECKING, Annotated

import typer

from broker.cli.options import AsJson, Config, Kafka, load
from broker.cli.output import console, harmless, milliseconds, reading_progress, write_json
from broker.records.times import to_rfc3339

if TYPE_CHECKING:
    from rich.console import Console

    from broker.story.trace import Trace


def trace(
    identity: Annotated[str, typer.Argument(metavar="ID", help="The prompt's id.")],
    *,
    whole: Annotated[
        bool,
        typer.Option(
            "--whole",
            help="Read the topics to their ends, not only until soon after the completion.",
        ),
    ] = False,
    config: Config = None,
    kafka: Kafka = None,
    as_json: AsJson = False,
) -> None:
    """Tell a prompt's story: accepted, weighed, routed, each call, each move, completed.

    Each line names the record that says so, as TOPIC PARTITION-OFFSET, so that it can be looked at
    in a Kafka console. Nothing is changed. Exit code 1 when no prompt has the id.
    """
    from broker.story.trace_run import run_trace

    settings = load(config, kafka)
    with reading_progress() as progress:
        story = run_trace(settings, identity, whole=whole, progress=progress)
    if as_json:
        write_json(story.as_json())
    else:
        show(story, console())


def show(story: "Trace", out: "Console") -> None:
    """The story for a person."""
    from rich.text import Text

    from broker.cli.candidate_lines import candidate_line

    state = story.status if story.state == "completed" else story.state
    out.print(f"[bold]{story.id}[/], accepted {to_rfc3339(story.accepted_at)}: {state}\n")
    for event in story.events:
        after = milliseconds(max(0.0, (event.at - story.accepted_at) * 1000))
        # Reasons and messages may hold brackets, which are no markup.
        out.print(Text(f"{after:>10}  {harmless(event.text)}  ").append(event.place, "dim"))
        for note in event.details.get("candidates", ()):
            out.print(Text(f"{'':>12}{candidate_line(note)}", "dim"))
