"""Answers: real sentences of an exact number of tokens, without counting at the time of a call.

Every sentence is split into its tokens once. A sentence begins with the space before it, where
o200k always begins a new token, so the tokens of an answer are the sum of its sentences'; and all
words of the corpus are single tokens, so that a sentence can be cut after any of them. (Some words
are so only with a space before them: no sentence begins with one, for it may be the first.)
"""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from importlib import resources
from typing import Any, Final

from broker.core.token_estimate import estimate_tokens

ENCODING: Final = "o200k_base"
_SHORTEST: Final = 2
_WALK_FROM: Final = 8
"""Shorter sentences serve only to end an answer at its length."""
_COUNT_UP_TO: Final = 16_384
"""Characters up to which a prompt's tokens are counted; beyond they are estimated."""

Tokens = tuple[str, ...]


class Prose:
    """Writes texts. Loads the corpus and the vocabulary (50 ms, once for a process)."""

    def __init__(self) -> None:
        from splintr import Tokenizer  # noqa: PLC0415 - some megabytes, only this process needs them

        tokenizer = Tokenizer.from_pretrained(ENCODING)
        self._encode: Callable[[str], Sequence[Any]] = tokenizer.encode_ordinary

        self._decode: Callable[[list[Any]], str] = tokenizer.decode
        split = self._split
        lines = resources.files(__package__).joinpath("sentences.txt").read_text().splitlines()
        openings: dict[Tokens, Tokens] = {}
        by_length: defaultdict[int, list[Tokens]] = defaultdict(list)
        for line in lines:
            tokens = split(" " + line)
            openings[tokens] = split(line)
            by_length[len(tokens)].append(tokens)
        self._openings = openings
        self._by_length = {length: tuple(found) for length, found in by_length.items()}
        self._walk = [tokens for tokens in openings if len(tokens) >= _WALK_FROM]
        self._longest = max(self._by_length)
        # Strides that have no factor in common with the corpus come by every sentence.
        size = len(self._walk)
        self._strides = [step for step in range(1, size) if math.gcd(step, size) == 1]
        lengths = range(_SHORTEST, self._longest + 1)
        if any(length not in self._by_length for length in lengths) or any(
            len(opening) != len(tokens) for tokens, opening in openings.items()
        ):
            raise ValueError(
                "the corpus lacks a length, or has a sentence that costs more as the first"
            )

    def count(self, texts: Sequence[str]) -> int:
        """Tokens of a prompt's texts: exact for short ones, estimated for long ones."""
        if sum(map(len, texts)) > _COUNT_UP_TO:
            return sum(map(estimate_tokens, texts))
        try:
            return sum(len(self._encode(text)) for text in texts)
        except UnicodeEncodeError:  # half of a surrogate pair
            return sum(map(estimate_tokens, texts))

    def split(self, ascii_text: str) -> list[str]:
        """A text without any but ASCII characters, as its tokens."""
        return list(self._split(ascii_text))

    def write(self, tokens: int, start: float, stride: float, *, cut: bool = False) -> list[str]:
        """A text of exactly so many tokens, as its tokens; `start` and `stride` (0 to 1) vary it.

        It ends with a sentence; with `cut` in the middle of one, as does a text of one token.
        """
        if tokens <= 0:
            return []
        walk, size = self._walk, len(self._walk)
        at, step = int(start * size), self._strides[int(stride * len(self._strides))]
        out: list[str] = []
        left = tokens
        while left > self._longest or (cut and left == self._longest):
            sentence = walk[at % size]
            at += step
            if left - len(sentence) >= _SHORTEST:
                out.extend(sentence if out else self._openings[sentence])
                left -= len(sentence)
        last = self._last(left, at, cut=cut)
        if last:
            out.extend((last if out else self._openings[last])[:left])
        return out

    def _split(self, text: str) -> Tokens:
        return tuple(self._decode([token]) for token in self._encode(text))

    def _last(self, left: int, at: int, *, cut: bool) -> Tokens | None:
        if left <= 0:
            return None
        length = max(_SHORTEST, self._longest if cut and left >= _SHORTEST else left)
        found = self._by_length[length]
        return found[at % len(found)]
