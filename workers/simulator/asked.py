"""What a call asks for, read from any dialect."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

LONGEST_ANSWER: Final = 262_144
"""Most tokens of all choices together, whatever a request allows (about 1.3 MB)."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that must be called; `schema` is JSON Schema of its arguments."""

    name: str
    schema: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class ChatAsked:
    """A conversation's next answer. `max_tokens` and `own_tokens` are None where it does not say.

    `extra_tokens` are input tokens of what is not text.
    """

    model: str
    texts: tuple[str, ...] = field(repr=False)
    extra_tokens: int
    max_tokens: int | None = None
    own_tokens: int | None = None
    choices: int = 1
    stream: bool = False
    include_usage: bool = False
    tool: Tool | None = None
    schema: Mapping[str, Any] | None = field(default=None, repr=False)
    """The answer is JSON of this schema; an empty one allows any object."""
    thoughts: int = 0
    """Tokens that it thinks before it answers."""
    show_thoughts: bool = False
    given: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The request itself, where a reply repeats parts of it."""


@dataclass(frozen=True, slots=True)
class PicturesAsked:
    """Pictures for a text."""

    model: str
    texts: tuple[str, ...] = field(repr=False)
    extra_tokens: int = 0
    count: int = 1
    width: int = 1_024
    height: int = 1_024
    quality: str = "medium"
    tokens_each: int = 1_056
    """Output tokens that one costs."""
    stream: bool = False


@dataclass(frozen=True, slots=True)
class VectorsAsked:
    """An embedding for each of the texts, in their order."""

    model: str
    texts: tuple[str, ...] = field(repr=False)
    extra_tokens: int = 0
    """For texts that came as tokens."""
    dimensions: int | None = None
    base64: bool = False
    stream: bool = False


@dataclass(frozen=True, slots=True)
class CountAsked:
    """How many tokens a prompt has; nothing is made."""

    model: str
    texts: tuple[str, ...] = field(repr=False)
    extra_tokens: int = 0
    stream: bool = False


Asked = ChatAsked | PicturesAsked | VectorsAsked | CountAsked


def most_output(asked: Asked, usual: int) -> int:
    """The most tokens that may come out, as a limit reckons; `usual` where nobody said."""
    if isinstance(asked, ChatAsked):
        return asked.choices * (asked.max_tokens or usual)
    if isinstance(asked, PicturesAsked):
        return asked.count * asked.tokens_each
    return 0
