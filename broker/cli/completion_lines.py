"""Completions as people read them, and what is said while the broker is away."""

import time
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Final

from broker.cli.output import milliseconds, say

if TYPE_CHECKING:
    from rich.text import Text

    from broker.records.completion import Completion
    from broker.story.following import CompletionFollower

STATUS_STYLES: Final = {
    "succeeded": "green",
    "failed": "bold red",
    "refused": "yellow",
    "expired": "yellow",
    "cancelled": "magenta",
}
FIRST_WORDS: Final = 72
_QUIET_S: Final = 10.0
_AGAIN_S: Final = 60.0


def in_one_line(completion: "Completion", *, with_text: bool) -> "Text":
    """When, how, which, whose, where, how long; and the first words of the answer or the error."""
    from rich.text import Text

    at = datetime.fromtimestamp(completion.completed_at).astimezone()
    line = Text(f"{at:%H:%M:%S}  ")
    line.append(f"{completion.status:<9}", STATUS_STYLES.get(completion.status, ""))
    line.append(f"  {completion.id:<32}  {printable(completion.tenant):<10}")
    line.append(f"  {completion.provider or '-':<10}  {completion.lane or '-':<6}")
    line.append(f"  {milliseconds(latency_ms(completion)):>8}")
    if with_text:
        line.append(f"  {first_words(answer_of(completion))}")
    return line


def latency_ms(completion: "Completion") -> float:
    """From accepted to completed."""
    return max(0.0, completion.completed_at - completion.accepted_at) * 1000


def answer_of(completion: "Completion") -> str:
    """The text, or in one sentence why there is none or where the result lies."""
    if completion.error is not None:
        return completion.error.message
    if completion.text is not None:
        return completion.text
    if completion.data is not None:
        return f"The result lies at {completion.data.url} ({completion.data.size:,} bytes)."
    if completion.body is not None:
        from broker.cli.body_words import told

        return told(completion.body)
    return f"It ended as {completion.status}."


def choices_of(completion: "Completion") -> list[str]:
    """The texts of its choices in their order, where there are several; else its one answer."""
    body = completion.body if completion.error is None else None
    rows = body.get("choices") if isinstance(body, Mapping) else None
    several = isinstance(rows, list) and len(rows) > 1 and all(map(_is_choice, rows))
    if not isinstance(rows, list) or not several:
        return [answer_of(completion)]
    texts = {}
    for place, row in enumerate(rows):
        content = row["message"].get("content")
        texts[row.get("index", place)] = content if isinstance(content, str) else ""
    return [texts[index] for index in sorted(texts)]


def _is_choice(row: object) -> bool:
    return isinstance(row, Mapping) and isinstance(row.get("message"), Mapping)


def first_words(text: str) -> str:
    """The beginning of a text on one line."""
    line = printable(" ".join(text[: 4 * FIRST_WORDS].split()))
    return line if len(line) <= FIRST_WORDS else line[:FIRST_WORDS].rsplit(" ", 1)[0] + " …"


def printable(text: str) -> str:
    """The text without what would steer a terminal."""
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() or one in "\n\t" else "\N{REPLACEMENT CHARACTER}" for one in text
    )


class OutageNotice:
    """Says once that no broker answers, reminds each minute, and says when one is back."""

    def __init__(self, follower: "CompletionFollower") -> None:
        self._follower = follower
        self._told = False
        self._last = -_QUIET_S

    def check(self) -> None:
        """Say what there is to say, a few lines a minute at most."""
        now = time.monotonic()
        if self._follower.reachable:
            if self._told:
                say(f"Kafka at {self._follower.where} answers again.")
                self._told = False
        elif now - self._last >= (_AGAIN_S if self._told else _QUIET_S):
            say(f"Kafka at {self._follower.where} does not answer; trying until it is back.")
            self._told, self._last = True, now
