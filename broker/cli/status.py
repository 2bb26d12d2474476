"""`weighbridge status ID`: where a prompt is, and when it should be done."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from broker.cli.options import AsJson, Config, Kafka, load
from broker.cli.output import harmless, milliseconds, reading_progress, write, write_json

if TYPE_CHECKING:
    from broker.records.progress import Range
    from broker.story.status import Status


def status(
    identity: Annotated[str, typer.Argument(metavar="ID", help="The prompt's id.")],
    *,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Tell again what changes, until it has ended.")
    ] = False,
    config: Config = None,
    kafka: Kafka = None,
    as_json: AsJson = False,
) -> None:
    """Say where a prompt is: completed, running, waiting at which place, or not classified yet.

    What waits or runs has an expected start and end, each a range that holds four times in five. A
    worker says them for what it has read; for what is still in Kafka they are worked out from
    offsets and the workers' states, which is coarser. Exit code 1 when no prompt has the id.
    """
    from broker.story.status_run import follow_status, run_status

    settings = load(config, kafka)
    show = _json if as_json else _line
    if not watch:
        with reading_progress() as progress:
            found = run_status(settings, identity, progress=progress)
        show(found)
        return
    before = None
    try:
        for found in follow_status(settings, identity):
            if found != before:
                show(found)
            before = found
    except KeyboardInterrupt:
        return


def _json(found: "Status") -> None:
    write_json(found.as_json())


def _line(found: "Status") -> None:
    write(harmless(told(found, time.time())))


def told(found: "Status", now: float) -> str:
    """The status in words."""
    parts = [_where(found, now)]
    if found.held_until is not None and found.held_until > now:
        held = milliseconds(1000 * (found.held_until - now))
        parts.append(f"held for {held} more by its tenant's rate")
    if found.starts_at is not None and found.state == "waiting":
        parts.append(_range("starts", found.starts_at, now))
    if found.ends_at is not None:
        parts.append(_range("ends", found.ends_at, now))
    if found.said_at is not None:
        parts.append(f"said {milliseconds(max(0.0, now - found.said_at) * 1000)} ago")
    elif found.ends_at is not None:
        parts.append("estimated from offsets" if found.state == "waiting" else "estimated")
    why = f". {found.why}" if found.why and found.state in ("waiting", "running") else ""
    return f"{found.id}: {', '.join(parts)}{why}"


def _where(found: "Status", now: float) -> str:
    match found.state:
        case "completed":
            took = milliseconds(1000 * max(0.0, (found.completed_at or now) - found.accepted_at))
            by = f" by {found.provider}" if found.provider else ""
            calls = [_times(found.calls, "call")] if found.calls > 1 else []
            moves = [_times(found.moves, "move")] if found.moves else []
            with_ = " and ".join((*calls, *moves))
            code = f" ({found.code})" if found.code and found.code != found.status else ""
            why = f": {found.why}" if found.why else ""
            after = f"{took} after it was accepted{', with ' if with_ else ''}{with_}"
            return f"{found.status}{code}{by}, {after}{why}"
        case "running":
            since = milliseconds(1000 * max(0.0, now - (found.since or now)))
            by = f" ({found.worker})" if found.worker else ""
            return f"call {found.calls} at {found.provider}{by} for {since}"
        case "waiting":
            place = "" if found.place is None else f", {found.place:,} before it"
            again = f", after {_times(found.calls, 'call')}" if found.calls else ""
            return f"waiting in {found.provider}'s {found.lane} lane{place}{again}"
        case "not_classified":
            place = "" if found.place is None else f", {found.place:,} before it in its partition"
            return f"not taken up by the classifier yet{place}"
        case _:
            return f"nowhere: {found.why}"


def _times(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _range(what: str, given: "Range", now: float) -> str:
    low, high = (milliseconds(max(0.0, one - now) * 1000) for one in given)
    if given[1] <= now:
        ago = milliseconds((now - given[1]) * 1000)
        return f"{what[:-1]} was expected until {ago} ago"
    return f"{what} within {high}" if given[0] <= now else f"{what} in {low} to {high}"
