"""Which dead letters may be sent again, and under which id.

The id of a prompt that was answered, though with a failure, is remembered for dedupe's window: the
classifier would drop a replay within it, and begin the window anew. So such a letter is held back,
or goes under a new id.
"""

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from broker.records.ids import MAX_ID_LENGTH
from broker.records.incoming import Headers
from broker.records.strict_json import StrictJsonError, loads
from broker.records.times import to_rfc3339
from broker.story.dead_letters import DeadLetter


@dataclass(frozen=True, slots=True)
class Replay:
    """What becomes of one letter: sent, under `new_id` if that is not None, or `held` and why."""

    letter: DeadLetter
    new_id: str | None = None
    held: str = ""
    until: float | None = None
    """Held until then as a duplicate (unix seconds)."""

    def as_json(self) -> dict[str, Any]:
        """What `dlt replay --json` prints of it, beside where it went."""
        return {
            "letter": self.letter.place,
            "id": self.letter.id or None,
            "new_id": self.new_id,
            "held": self.held or None,
            "until": None if self.until is None else to_rfc3339(self.until),
        }


def decide(
    letters: Iterable[DeadLetter],
    prompts: str,
    *,
    window_s: float,
    seen_at: Mapping[str, float],
    now: float,
    renamable: frozenset[str] | None,
) -> list[Replay]:
    """Which of these letters may go to the topic `prompts`, and under which id.

    `seen_at`: when each id was last met in its home partition, if within the window. `renamable`
    are the places of the letters that can be given a new id; None when nobody asked for new ones.
    """
    seen = dict(seen_at)
    decided = []
    for letter in letters:
        if letter.from_topic != prompts:
            held = f"it is no prompt but a record of {letter.from_topic or 'nobody knows where'}"
            decided.append(Replay(letter, held=held))
            continue
        until = seen.get(letter.id, -window_s) + window_s if letter.own_id else 0.0
        if until < now:
            seen[letter.id] = now
            decided.append(Replay(letter))
        elif renamable is not None and letter.place in renamable:
            decided.append(Replay(letter, new_id=fresh_id(letter.id)))
        elif renamable is not None:
            held = "no new id can be put into what is not a JSON object"
            decided.append(Replay(letter, held=held, until=until))
        else:
            held = f"its id would be dropped as a duplicate until {to_rfc3339(until)}"
            decided.append(Replay(letter, held=held, until=until))
    return decided


def fresh_id(identity: str) -> str:
    """A new id that tells which one it stands for: `<id>~<8 hex digits>`."""
    ending = f"~{secrets.token_hex(4)}"
    return identity[: MAX_ID_LENGTH - len(ending)] + ending


def renamed(letter: DeadLetter, identity: str) -> tuple[bytes, Headers] | None:
    """The letter's value and headers with this id; None when the value is no JSON object.

    The id goes where it was: into `id`, or into `ce_id` when only that had it.
    """
    value = letter.value or b""
    if value.lstrip()[:1] != b"{":
        return None
    try:
        fields = loads(value)
    except StrictJsonError:
        return None
    if fields.get("id") is not None:
        return orjson.dumps({**fields, "id": identity}), letter.headers
    given = identity.encode()
    return value, tuple((n, given if n == "ce_id" else v) for n, v in letter.headers)
