"""`weighbridge dlt`: what could not be processed, looked at and sent again."""

import re
import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from broker.cli.dlt_text import bytes_of, line, shown, tell_held, tell_sent
from broker.cli.options import AsJson, Config, Kafka, load, moment
from broker.cli.output import harmless, reading_progress, say, write, write_json
from broker.records.errors import UsageError
from broker.records.times import to_rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterable

    from broker.settings import Settings
    from broker.story.dead_letters import DeadLetter, DeadLetters
    from broker.story.log_reader import LogReader
    from broker.story.replay_plan import Replay

app = typer.Typer(help="Dead letters: what could not be processed.", no_args_is_help=True)

_PLACE = re.compile(r"([0-9]{1,9})-([0-9]{1,18})")
_SHOWN = 5
Since = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Letters from then on: RFC 3339, or 10m, 2h, 1d ago."),
]
OfError = Annotated[
    str | None, typer.Option("--error", metavar="CODE", help="Only those with this error code.")
]
Place = Annotated[
    str, typer.Argument(metavar="PARTITION-OFFSET", help="The letter, as `dlt list` names it.")
]


@app.command("list")
def list_letters(
    *,
    limit: Annotated[int, typer.Option(min=1, help="The newest so many.")] = 100,
    since: Since = None,
    error: OfError = None,
    config: Config = None,
    kafka: Kafka = None,
    as_json: AsJson = False,
) -> None:
    """List dead letters, the newest last: place, time, where the record stood, and why.

    With --json one object a line. The first word of a line is what `show` and `replay` are given.
    """
    from broker.story.log_reader import LogReader

    start = moment(since, "--since")
    settings = load(config, kafka)
    with LogReader(settings) as reader, reading_progress() as progress:
        found = _letters(settings, reader).newest(
            limit, since=start, error=error, progress=progress
        )
    for letter in found:
        if as_json:
            write_json(letter.as_json())
        else:
            write(line(letter))
    if not found and not as_json:
        say("There is no dead letter." if start is None and error is None else _NO_MATCH)


@app.command()
def show(
    place: Place,
    *,
    raw: Annotated[
        bool, typer.Option("--raw", help="The original bytes alone, just as they were sent.")
    ] = False,
    config: Config = None,
    kafka: Kafka = None,
    as_json: AsJson = False,
) -> None:
    """Show one dead letter: why, its headers and its bytes, as text or else in hexadecimal.

    This prints what the prompt says.
    """
    from broker.story.log_reader import LogReader

    settings = load(config, kafka)
    with LogReader(settings) as reader:
        letters = _letters(settings, reader)
        letter = letters.at(_parsed(place))
        value = letters.original(letter)
    if raw:
        sys.stdout.buffer.write(value or b"")
        sys.stdout.flush()
        return
    if as_json:
        write_json({**letter.as_json(), **bytes_of(letter, value)})
        return
    rows = {
        "letter": letter.place,
        "time": to_rfc3339(letter.at),
        "from": letter.origin,
        "stage": letter.stage,
        "error": f"{letter.error}: {letter.message}",
        "attempt": letter.attempt,
        "id": letter.id or "cannot be read",
        "key": shown(letter.key),
    }
    for name, text in rows.items():
        write(f"{name:<8} {harmless(text)}")
    for name, given in letter.headers:
        write(f"header   {harmless(name)}: {shown(given)}")
    write(f"value    {len(value or b''):,} bytes")
    write(f"\n{shown(value)}")


@app.command()
def replay(
    places: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PARTITION-OFFSET]...", help="Letters, as `dlt list` names them."),
    ] = None,
    *,
    error: OfError = None,
    every: Annotated[bool, typer.Option("--all", help="Every letter.")] = False,
    since: Since = None,
    new_id: Annotated[
        bool,
        typer.Option(
            "--new-id",
            help="Give those that would be dropped as duplicates a new id, <id>~<8 digits>; they "
            "must be JSON objects.",
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    config: Config = None,
    kafka: Kafka = None,
    as_json: AsJson = False,
) -> None:
    """Send dead letters to the prompts' topic again: original key, bytes and headers.

    A prompt with an id of its own has been answered: with a failure. Its id is remembered for
    dedupe.window_s after it was last sent, and within that time a replay would be dropped. Such a
    letter is NOT sent, and its time is told; wait until then, or ask for --new-id, and the answer
    comes under the new id. A letter without an id of its own goes at once, and gets a new one from
    its new place. Letters stay in their topic: a second replay asks a second time.

    Exit code 1 when one of the letters was not sent.
    """
    from broker.story.log_reader import LogReader
    from broker.story.replay import Replayer

    chosen = [_parsed(place) for place in places or ()]
    if sum((bool(chosen), error is not None, every)) != 1:
        raise UsageError(
            "It is not clear which letters are meant.",
            mend="Name their places, or give --error CODE, or --all.",
        )
    start = moment(since, "--since")
    settings = load(config, kafka)
    with LogReader(settings) as reader:
        letters = _letters(settings, reader)
        replayer = Replayer(settings, reader)
        with reading_progress() as progress:
            wanted: Iterable[DeadLetter] = (
                map(letters.at, dict.fromkeys(chosen))
                if chosen
                else letters.matching(since=start, error=error, progress=progress)
            )
            planned = replayer.planned(wanted, now=time.time(), new_id=new_id, progress=progress)
        held = [one for one in planned if one.held]
        going = [one for one in planned if not one.held]
        if not planned:
            say(_NO_MATCH)
            return
        tell_held(held, as_json=as_json)
        if going and not yes and not _confirmed(going):
            say("Nothing was sent.")
            raise typer.Exit(1)
        sent = replayer.send(going) if going else []
    tell_sent(sent, as_json=as_json)
    gone = len(going) - len(sent)
    if gone:
        say(f"{gone} had no bytes, and their records are not where they stood any more.")
    if held or gone:
        raise typer.Exit(1)


_NO_MATCH = "No dead letter matches."


def _letters(settings: "Settings", reader: "LogReader") -> "DeadLetters":
    from broker.log.topic_names import TopicNames
    from broker.story.dead_letters import DeadLetters

    return DeadLetters(reader, TopicNames(settings.kafka.prefix), settings.catalog())


def _parsed(text: str) -> tuple[int, int]:
    match = _PLACE.fullmatch(text)
    if match is None:
        raise UsageError(
            f"{text!r} is no place of a dead letter.",
            mend="Give PARTITION-OFFSET as `weighbridge dlt list` shows it, such as 0-12.",
        )
    return int(match[1]), int(match[2])


def _confirmed(going: "list[Replay]") -> bool:
    for one in going[:_SHOWN]:
        say(line(one.letter))
    if len(going) > _SHOWN:
        say(f"... and {len(going) - _SHOWN} more")
    count = "this letter" if len(going) == 1 else f"these {len(going)} letters"
    # typer's own question would leave a blank on standard output, beside the JSON.
    sys.stderr.write(f"Send {count} to the prompts again? [y/N]: ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}
