"""How dead letters and their replays are shown."""

from typing import TYPE_CHECKING, Any

from broker.cli.output import harmless, say, write, write_json
from broker.records.times import to_rfc3339

if TYPE_CHECKING:
    from broker.story.dead_letters import DeadLetter
    from broker.story.replay import Sent
    from broker.story.replay_plan import Replay


def line(letter: "DeadLetter") -> str:
    """One letter in `dlt list`."""
    parts = (
        f"{letter.place:<8}",
        to_rfc3339(letter.at),
        letter.origin,
        letter.stage,
        f"{letter.error}:",
        harmless(letter.message),
        f"({letter.id})" if letter.id else "",
    )
    return "  ".join(part for part in parts if part)


def shown(value: bytes | None) -> str:
    """Bytes for a person: text that cannot harm a terminal, or hexadecimal."""
    if value is None:
        return "none"
    try:
        return harmless(value.decode())
    except UnicodeDecodeError:
        return f"hexadecimal {value.hex()}"


def bytes_of(letter: "DeadLetter", value: bytes | None) -> dict[str, Any]:
    """Key, headers and value for `dlt show --json`; `_hex` where they are no text."""

    def told(name: str, given: bytes | None) -> dict[str, str | None]:
        if given is None:
            return {name: None}
        try:
            return {name: given.decode()}
        except UnicodeDecodeError:
            return {f"{name}_hex": given.hex()}

    headers = [{"name": name, **told("value", given)} for name, given in letter.headers]
    return {**told("key", letter.key), "headers": headers, **told("value", value)}


def tell_held(held: "list[Replay]", *, as_json: bool) -> None:
    """Say what is not sent, and why."""
    if as_json:
        for one in held:
            write_json({**one.as_json(), "topic": None, "partition": None, "offset": None})
        return
    for one in held:
        said = f" ({one.letter.id})" if one.letter.id else ""
        say(f"{one.letter.place}{said} is not sent: {one.held}.")
    if any(one.until is not None for one in held):
        say("Wait until then, or give --new-id.")


def tell_sent(sent: "list[Sent]", *, as_json: bool) -> None:
    """Say where each letter went."""
    for one in sent:
        place = {"topic": one.topic, "partition": one.partition, "offset": one.offset}
        if as_json:
            write_json({**one.replay.as_json(), **place})
            continue
        letter = one.replay.letter
        own = letter.id if letter.own_id else f"{one.partition}-{one.offset}"
        write(
            f"{letter.place} is {one.topic} {one.partition}-{one.offset} now, with the id "
            f"{one.replay.new_id or own}"
        )
