"""What is answered, before a dialect gives it its form. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

STOP: Final = "stop"
LENGTH: Final = "length"
FILTERED: Final = "content_filter"
TOOL: Final = "tool_calls"


@dataclass(frozen=True, slots=True)
class Completion:
    """An answer to a conversation. `choices` holds each choice's text as its tokens.

    With `tool` the tokens are those of its arguments, which are JSON.
    """

    id: str
    """16 hexadecimal digits; each dialect makes its own form of it."""
    created: int
    """Unix seconds."""
    model: str
    input_tokens: int
    choices: Sequence[Sequence[str]] = field(repr=False)
    finish_reason: str
    """STOP, LENGTH, FILTERED or TOOL."""
    cached_tokens: int = 0
    """Of the input tokens."""
    thought_tokens: int = 0
    """Beside the tokens of the choices."""
    thoughts: str = field(default="", repr=False)
    """What it thought, where that was asked for."""
    tool: str | None = None

    @property
    def text_tokens(self) -> int:
        """Tokens of all choices together."""
        return sum(map(len, self.choices))

    @property
    def output_tokens(self) -> int:
        """All tokens that are billed as output."""
        return self.text_tokens + self.thought_tokens

    @property
    def longest(self) -> int:
        """Tokens of the longest choice: they are all written at the same time."""
        return max(map(len, self.choices))


@dataclass(frozen=True, slots=True)
class Pictures:
    """Pictures, each a whole PNG file."""

    id: str
    created: int
    model: str
    input_tokens: int
    pictures: Sequence[bytes] = field(repr=False)
    output_tokens: int
    longest: int = 1
    """A picture comes at once."""


@dataclass(frozen=True, slots=True)
class Vectors:
    """Embeddings, each of length 1 in Euclid's sense; `counts` are the tokens of each text."""

    id: str
    created: int
    model: str
    input_tokens: int
    vectors: Sequence[Sequence[float]] = field(repr=False)
    counts: Sequence[int]
    output_tokens: int = 0
    longest: int = 1


@dataclass(frozen=True, slots=True)
class Count:
    """How many tokens there are."""

    id: str
    created: int
    model: str
    input_tokens: int
    output_tokens: int = 0
    longest: int = 1


Made = Completion | Pictures | Vectors | Count
