"""The columns of a CSV that are fields of a prompt, and how a cell becomes a value."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson


@dataclass(frozen=True, slots=True)
class Column:
    """A field; `read` turns a cell that is not empty into its value or raises ValueError."""

    name: str
    what: str
    read: Callable[[str], Any]


def _yes_or_no(cell: str) -> bool:
    try:
        return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[
            cell.strip().lower()
        ]
    except KeyError:
        raise ValueError(cell) from None


def _number(cell: str) -> float:
    value = float(cell)
    if value - value != 0.0:  # infinite, or not a number
        raise ValueError(cell)
    return value


_FIELDS: Final[tuple[tuple[str, Callable[[str], Any], tuple[str, ...]], ...]] = (
    ("text", str, ("prompt", "input")),
    (
        "a word",
        str.strip,
        (
            *("id", "tenant", "kind", "model", "priority", "provider", "deadline"),
            *("reasoning_effort", "size", "quality"),
        ),
    ),
    (
        "a whole number",
        int,
        ("max_output_tokens", "max_completion_tokens", "max_tokens", "n", "seed"),
    ),
    ("a number", _number, ("timeout_s", "temperature", "top_p")),
    ("true or false", _yes_or_no, ("stream",)),
    ("JSON", orjson.loads, ("metadata", "messages", "tools", "response_format")),
)
_KNOWN: Final = {name: Column(name, what, read) for what, read, names in _FIELDS for name in names}


def columns_of(header: Sequence[str]) -> list[Column | None]:
    """What each cell of a row is; None for a column that is no field."""
    return [_KNOWN.get(name.strip()) for name in header]


def unknown_columns(header: Sequence[str]) -> list[str]:
    """Names in this header that are no field."""
    return [name.strip() for name in header if name.strip() and name.strip() not in _KNOWN]
