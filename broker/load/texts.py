"""Texts of a wanted number of tokens, made of real sentences.

A vocabulary never joins the full stop of one sentence with the word after it, so the tokens of a
text are the sum of those of its sentences. They are counted once, and making a text is choosing.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from random import Random
from typing import Any, Final

from broker.records.errors import UsageError

ENCODING: Final = "o200k_base"
"""The vocabulary that the classifier counts with."""
LARGEST_TOKENS: Final = 1_000_000

Count = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class _Sentences:
    """`first` and `whole` are (tokens, sentence); `endings` and `openings` by token count.

    Those are sentences or the first words of one. What does not stand at the beginning of a text
    carries the blank that parts it from the sentence before.
    """

    first: tuple[tuple[int, str], ...]
    whole: tuple[tuple[int, str], ...]
    endings: tuple[tuple[str, ...], ...]
    openings: tuple[tuple[str, ...], ...]
    longest: int


class TextMaker:
    """Makes one text after another; the same seed gives the same texts. For one thread."""

    def __init__(self, seed: int = 0) -> None:
        """The first one of a process counts the sentences, which takes about 0.2 s."""
        self._sentences = _load()
        self._random = Random(seed)  # noqa: S311 - texts have to be repeatable, not secret

    def make(self, tokens: int) -> str:
        """A text of exactly so many tokens, from 1 on; about 4 to 6 characters for each.

        Raises UsageError for less than one or more than a million.
        """
        if not 1 <= tokens <= LARGEST_TOKENS:
            raise UsageError(
                f"A text of {tokens:,} tokens cannot be made.",
                mend=f"Ask for 1 to {LARGEST_TOKENS:,}.",
            )
        known, choose = self._sentences, self._random.choice
        if tokens <= known.longest:
            return choose(known.openings[tokens])
        count, sentence = choose(known.first)
        parts, left = [sentence], tokens - count
        while left > known.longest:
            count, sentence = choose(known.whole)
            parts.append(sentence)
            left -= count
        parts.append(choose(known.endings[left]))
        return "".join(parts)


@cache
def _load() -> _Sentences:
    lines = (files(__package__) / "sentences.txt").read_text(encoding="utf-8").splitlines()
    return _counted(lines, _counter())


def _counter() -> Count:
    from splintr import Tokenizer  # noqa: PLC0415 - some megabytes, not needed by who only sends

    encode: Callable[[str], Sequence[Any]] = Tokenizer.from_pretrained(ENCODING).encode_ordinary
    return lambda text: len(encode(text))


def _counted(lines: Sequence[str], count: Count) -> _Sentences:
    openings: defaultdict[int, list[str]] = defaultdict(list)
    endings: defaultdict[int, list[str]] = defaultdict(list)
    for line in lines:
        for piece in _pieces(line):
            openings[count(piece)].append(piece)
            endings[count(f" {piece}")].append(f" {piece}")
    first = tuple((count(line), line) for line in lines)
    whole = tuple((count(f" {line}"), f" {line}") for line in lines)
    # Up to here there is a piece of every count, so that whatever is left can be filled.
    longest = next(n for n in range(1, len(lines)) if not (openings[n + 1] and endings[n + 1]))
    return _Sentences(
        tuple(one for one in first if one[0] <= longest),
        tuple(one for one in whole if one[0] <= longest),
        tuple(tuple(endings[n]) for n in range(longest + 1)),
        tuple(tuple(openings[n]) for n in range(longest + 1)),
        longest,
    )


def _pieces(line: str) -> list[str]:
    """The sentence, its first words closed with a full stop, and its first word alone."""
    words = line.split()
    shorter = [" ".join(words[:n]).rstrip(",") + "." for n in range(1, len(words))]
    return [line, *shorter, re.sub(r"\W", "", words[0])]
