"""How an answer of one or more choices grows in the output, by where it is written.

`Inline`: one prompt with one choice, written as it comes. `InTurn`: one prompt with several, one
below the other, the next as soon as the one before is whole. `InLines`: many prompts, full lines
that begin with the id. On a terminal one prompt's several choices are `live_choices.Blocks`.
"""

from collections.abc import Callable, Sequence
from typing import ClassVar, Protocol

Write = Callable[[str], None]
Line = Callable[[str], None]

NARROWEST = 20
"""The narrowest line of an answer beside others."""


def label(index: int, choices: int) -> str:
    """The line above a choice."""
    return f"Choice {index + 1} of {choices}:"


def labelled(texts: Sequence[str]) -> str:
    """All choices, one below the other; a single one as it is."""
    if len(texts) == 1:
        return texts[0]
    blocks = (f"{label(at, len(texts))}\n{text}" for at, text in enumerate(texts))
    return "\n\n".join(blocks)


class Growing(Protocol):
    """One answer in the output."""

    lasting: ClassVar[bool]
    """Whether what was written stays where it is."""

    @property
    def stands(self) -> bool:
        """Whether any of it is there."""

    def add(self, index: int, text: str) -> None:
        """A piece of a choice."""

    def whole(self, index: int) -> None:
        """Nothing more will come of this choice."""

    def refresh(self) -> None:
        """Draw what has come and was not drawn yet."""

    def matches(self, texts: Sequence[str]) -> bool:
        """Whether what is there is the beginning of these."""

    def complete(self, texts: Sequence[str]) -> None:
        """Write what is missing of them, and end the last line."""

    def void(self) -> None:
        """End the line: what stands there counts no more."""


class Inline:
    """One choice, and nothing beside it."""

    lasting: ClassVar[bool] = True

    def __init__(self, write: Write) -> None:
        self._write = write
        self._shown = ""

    @property
    def stands(self) -> bool:
        """Whether any of it is there."""
        return bool(self._shown)

    def add(self, index: int, text: str) -> None:
        """A piece of the only choice; of others there is no room."""
        if index == 0:
            self._shown += text
            self._write(text)

    def whole(self, index: int) -> None:
        """It is the only one: nothing follows."""

    def refresh(self) -> None:
        """All is written as it comes."""

    def matches(self, texts: Sequence[str]) -> bool:
        """Whether what is there is the beginning of this one."""
        return len(texts) == 1 and texts[0].startswith(self._shown)

    def complete(self, texts: Sequence[str]) -> None:
        """Write what is missing, and end the line."""
        self._write(texts[0][len(self._shown) :] + "\n")

    def void(self) -> None:
        """End the line."""
        self._write("\n")
        self._shown = ""


class _Several:
    """What is known of each choice."""

    lasting: ClassVar[bool] = True

    def __init__(self, choices: int) -> None:
        self._choices = choices
        self._came = [""] * choices

    @property
    def stands(self) -> bool:
        """Whether anything has come."""
        return any(self._came)

    def refresh(self) -> None:
        """All is written as it comes."""

    def matches(self, texts: Sequence[str]) -> bool:
        """Whether what has come is the beginning of these."""
        pairs = zip(texts, self._came, strict=False)
        return len(texts) == self._choices and all(text.startswith(came) for text, came in pairs)

    def _take(self, index: int, text: str) -> bool:
        """Keep a piece; False for one of a choice that was not asked for."""
        if not 0 <= index < self._choices:
            return False
        self._came[index] += text
        return True


class InTurn(_Several):
    """Choices one below the other; what comes of a later one waits for those before it."""

    def __init__(self, choices: int, write: Write) -> None:
        super().__init__(choices)
        self._write = write
        self._at = 0
        self._written = -1
        """Characters of the choice `_at`; -1 before its label."""
        self._whole: set[int] = set()

    def add(self, index: int, text: str) -> None:
        """A piece, written when its turn has come."""
        if self._take(index, text):
            self._advance()

    def whole(self, index: int) -> None:
        """Its turn ends."""
        self._whole.add(index)
        self._advance()

    def complete(self, texts: Sequence[str]) -> None:
        """All that is missing, in turn."""
        self._came = list(texts)
        self._whole = set(range(self._choices))
        self._advance()

    def void(self) -> None:
        """End the line, and begin again with the first."""
        if self._written >= 0 and self._at < self._choices:
            self._write("\n")
        self._came = [""] * self._choices
        self._at, self._written, self._whole = 0, -1, set()

    def _advance(self) -> None:
        while self._at < self._choices:
            came, whole = self._came[self._at], self._at in self._whole
            if self._written < 0 and (came or whole):
                gap = "\n" if self._at else ""
                self._write(f"{gap}{label(self._at, self._choices)}\n")
                self._written = 0
            if came[self._written :] and self._written >= 0:
                self._write(came[self._written :])
                self._written = len(came)
            if not whole:
                return
            self._write("\n")
            self._at, self._written = self._at + 1, -1


class InLines(_Several):
    """Full lines, each with the id before it, and the number of the choice where there are more."""

    def __init__(self, identity: str, choices: int, line: Line, width: Callable[[], int]) -> None:
        super().__init__(choices)
        several = choices > 1
        self._names = [f"{identity} #{at + 1}" if several else identity for at in range(choices)]
        self._line = line
        self._width = width
        self._waiting = [""] * choices

    def add(self, index: int, text: str) -> None:
        """A piece; its line is written when it is full."""
        if not self._take(index, text):
            return
        width = max(NARROWEST, self._width() - len(self._names[index]) - len(" | "))
        waiting = self._waiting[index] + text
        while "\n" in waiting or len(waiting) > width:
            line, waiting = _cut(waiting, width)
            self._line(f"{self._names[index]} | {line}")
        self._waiting[index] = waiting

    def whole(self, index: int) -> None:
        """What waits of it is its last line."""
        if 0 <= index < self._choices and self._waiting[index]:
            self._line(f"{self._names[index]} | {self._waiting[index]}")
            self._waiting[index] = ""

    def complete(self, texts: Sequence[str]) -> None:
        """What is missing of each, and its last line."""
        for index, text in enumerate(texts):
            self.add(index, text[len(self._came[index]) :])
            self.whole(index)

    def void(self) -> None:
        """Write what waits, as it stood on the way."""
        for index in range(self._choices):
            self.whole(index)
        self._came = [""] * self._choices


def _cut(text: str, width: int) -> tuple[str, str]:
    """The first line, at most so wide where there is a blank to cut at, and what follows it."""
    line, newline, rest = text.partition("\n")
    if newline and len(line) <= width:
        return line, rest
    place = text.rfind(" ", 1, width + 1)
    if place < 0:
        return text[:width], text[width:]
    return text[:place], text[place + 1 :]
