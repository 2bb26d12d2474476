"""`weighbridge cancel ID`: nothing more is to be done for a prompt."""

from typing import TYPE_CHECKING, Annotated

import typer

from broker.cli.options import AsJson, Config, Kafka, load
from broker.cli.output import say, write, write_json
from broker.records.errors import UsageError
from broker.records.ids import is_valid_id
from broker.records.times import to_rfc3339

if TYPE_CHECKING:
    from broker.story.cancelling import Fate


def cancel(
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="The prompts' ids.")],
    *,
    wait: Annotated[
        float, typer.Option("--wait", min=1.0, metavar="S", help="Wait so long for their ends.")
    ] = 30.0,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Write the cancel, and wait for nothing.")
    ] = False,
    by: Annotated[str, typer.Option(help="Who asks, for the record.")] = "cli",
    config: Config = None,
    kafka: Kafka = None,
    as_json: AsJson = False,
) -> None:
    """Cancel prompts: what waits ends as cancelled, and a call under way is stopped.

    Each ends in one of two ways, and which of them is told: cancelled, or completed already. A
    cancel comes too late once the answer is being committed. What a stopped call has cost is not
    known, or estimated: the provider may go on.

    Exit code 1 when an id is unknown, or its end was not seen in time.
    """
    from broker.story import cancelling

    for identity in ids:
        if not is_valid_id(identity):
            raise UsageError(
                f"No prompt can have the id {identity!r}.",
                mend="An id has 1 to 128 characters of A-Z, a-z, 0-9 and _.:~-",
            )
    settings = load(config, kafka)
    if no_wait:
        cancelling.ask_cancel(settings, list(dict.fromkeys(ids)), by)
        return
    missed = False
    for fate in cancelling.cancel(settings, ids, by, wait):
        if as_json:
            write_json(fate.as_json())
        elif fate.completion is not None:
            write(f"{fate.id}  {_told(fate)}")
        if fate.name == "unknown":
            missed = True
            say(f"{fate.id}: no prompt has this id (any more). The cancel is written, and ends no")
            say("prompt that comes later.")
        elif fate.name == "unsettled":
            missed = True
            say(f"{fate.id}: it has no end yet after {wait:.0f} s. The cancel is written, and will")
            say("be followed for a day. `weighbridge status` tells where it is.")
    if missed:
        raise typer.Exit(1)


def _told(fate: "Fate") -> str:
    ended = fate.completion
    if ended is None:
        return fate.name
    if fate.name == "cancelled":
        after = "before any call" if not ended.calls else f"calls so far: {ended.calls}"
        return f"cancelled ({after})"
    return f"completed already: {ended.status} at {to_rfc3339(ended.completed_at)}"
