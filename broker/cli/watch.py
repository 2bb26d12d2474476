"""`weighbridge watch`: completions as they come."""

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

import typer

from broker.cli.options import AsJson, Config, Kafka, load, moment
from broker.cli.output import console, say, write
from broker.core.lanes import LANES
from broker.records.completion import STATUSES, Completion
from broker.records.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from broker.settings import Settings
    from broker.story.following import Followed

_WAIT_S: Final = 0.25


def _or(words: "Sequence[str]") -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Filters; an empty one lets everything through."""

    tenants: frozenset[str]
    providers: frozenset[str]
    lanes: frozenset[str]
    statuses: frozenset[str]
    ids: frozenset[str]

    def takes(self, completion: Completion) -> bool:
        """Whether it passes every filter."""
        return (
            (not self.tenants or completion.tenant in self.tenants)
            and (not self.providers or completion.provider in self.providers)
            and (not self.lanes or completion.lane in self.lanes)
            and (not self.statuses or completion.status in self.statuses)
            and (not self.ids or completion.id in self.ids)
        )


def watch(
    *,
    tenant: Annotated[list[str] | None, typer.Option(help="Only of this tenant.")] = None,
    provider: Annotated[list[str] | None, typer.Option(help="Only by this provider.")] = None,
    lane: Annotated[list[str] | None, typer.Option(help=f"Only {_or(LANES)}.")] = None,
    status: Annotated[list[str] | None, typer.Option(help=f"Only {_or(STATUSES)}.")] = None,
    identity: Annotated[list[str] | None, typer.Option("--id", help="Only of this id.")] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Begin then: RFC 3339, or 10m, 2h, 1d ago. Else now."),
    ] = None,
    count: Annotated[int | None, typer.Option(min=1, help="End after so many.")] = None,
    text: Annotated[bool, typer.Option("--text", help="With the first words of each.")] = False,
    config: Config = None,
    kafka: Kafka = None,
    as_json: AsJson = False,
) -> None:
    """Show completions as they are committed, until Ctrl-C. Filters may be given more than once.

    --json prints each as it stands in the topic, on a line of its own.
    """
    wanted = Wanted(
        frozenset(tenant or ()),
        frozenset(provider or ()),
        _among(lane, LANES, "--lane"),
        _among(status, STATUSES, "--status"),
        frozenset(identity or ()),
    )
    begin = moment(since, "--since")
    try:
        _watch(load(config, kafka), wanted, begin, count, _json_line if as_json else _shower(text))
    except KeyboardInterrupt:
        return


def _watch(
    settings: "Settings",
    wanted: Wanted,
    since: float | None,
    count: int | None,
    show: "Callable[[Followed], None]",
) -> None:
    from broker.cli.completion_lines import OutageNotice
    from broker.story.following import CompletionFollower

    shown, foreign_told = 0, False
    with CompletionFollower(settings, since=since) as follower:
        say(f"Watching {follower.topic} at {follower.where}; Ctrl-C ends it.")
        notice = OutageNotice(follower)
        while True:
            for one in follower.poll(_WAIT_S):
                if not wanted.takes(one.completion):
                    continue
                show(one)
                shown += 1
                if shown == count:
                    return
            notice.check()
            if follower.unreadable and not foreign_told:
                say(f"A record in {follower.topic} is not in the contract's form; it is left out.")
                foreign_told = True


def _among(given: list[str] | None, known: "Sequence[str]", option: str) -> frozenset[str]:
    for word in given or ():
        if word not in known:
            raise UsageError(f"{option} is {word!r}.", mend=f"It can be {_or(known)}.")
    return frozenset(given or ())


def _json_line(one: "Followed") -> None:
    write(one.value.decode())


def _shower(with_text: bool) -> "Callable[[Followed], None]":
    from broker.cli.completion_lines import in_one_line

    if not sys.stdout.isatty():
        return lambda one: write(in_one_line(one.completion, with_text=with_text).plain.rstrip())
    out = console()
    return lambda one: out.print(in_one_line(one.completion, with_text=with_text))
