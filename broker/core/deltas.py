"""Joins the deltas of one choice of a streamed answer, and takes one apart that is too large. Pure.

Deltas are in OpenAI's form: texts are appended, lists go on, everything else is said anew.
"""

from collections.abc import Mapping, Sequence
from typing import Any

Delta = Mapping[str, Any]


def join_deltas(deltas: Sequence[Delta]) -> Delta:
    """One delta that adds what these add, in their order; there is at least one."""
    if len(deltas) == 1:
        return deltas[0]
    joined: dict[str, Any] = {}
    texts: dict[str, list[str]] = {}
    for delta in deltas:
        for name, value in delta.items():
            if value is None or value in ("", []):
                joined.setdefault(name, value)
            elif isinstance(value, str) and name != "role":
                parts = texts.get(name)
                if parts is None:
                    parts = texts[name] = []
                    joined[name] = ""  # keeps its place among the names
                parts.append(value)
            elif isinstance(value, list) and isinstance(joined.get(name), list):
                joined[name] = [*joined[name], *value]
            else:
                joined[name] = value
    for name, parts in texts.items():
        joined[name] = "".join(parts)
    return joined


def is_empty(delta: Delta) -> bool:
    """Whether it adds nothing that a reader could show: a role, or nothing at all."""
    for name, value in delta.items():  # for every piece that comes: a generator would cost more
        if name != "role" and value not in (None, "", []):
            return False
    return True


def split_delta(delta: Delta) -> tuple[Delta, Delta] | None:
    """Two deltas that add the same one after the other, or None when it cannot be divided.

    Its longest text, or else its longest list, is cut in the middle.
    """
    longest, name = 1, None
    for each, value in delta.items():
        if each != "role" and isinstance(value, str | list) and len(value) > longest:
            longest, name = len(value), each
    if name is None:
        return None
    middle = longest // 2
    return {**delta, name: delta[name][:middle]}, {name: delta[name][middle:]}
