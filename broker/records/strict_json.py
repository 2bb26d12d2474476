"""JSON that means one thing only: no duplicate names, no NaN, no bottomless nesting.

RFC 8259 leaves duplicate names to the reader; two readers that choose differently would weigh one
prompt and send another. orjson keeps the last, so duplicates are looked for here.
"""

import json
from typing import Any

import orjson

MAX_DEPTH = 128
"""Deepest nesting of a prompt. orjson itself stops at 1,024; nothing a provider takes is near."""


class StrictJsonError(ValueError):
    """The bytes are not JSON that we accept. `code` says which rule they break."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def loads(data: bytes) -> Any:
    """Decode a UTF-8 JSON object or array; raises StrictJsonError with a code and a sentence."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise _explained(data, error) from error
    if not isinstance(value, dict | list):
        return value
    colons, depth = _measure(value)
    if depth > MAX_DEPTH:
        raise StrictJsonError("too_deep", f"The JSON is nested deeper than {MAX_DEPTH} levels.")
    # Every name of the text has one colon outside strings. If those of the decoded value account
    # for all colons of the text, no name was dropped; else a string hides one behind an escape,
    # or a name is there twice: only then is the slow and exact reader asked.
    if colons != data.count(b":"):
        _refuse_duplicates(data)
    return value


def _measure(value: Any) -> tuple[int, int]:
    """Colons that the decoded value accounts for, and its depth."""
    colons, deepest = 0, 0
    stack: list[tuple[Any, int]] = [(value, 1)]
    while stack:
        item, depth = stack.pop()
        deepest = max(deepest, depth)
        if type(item) is dict:
            colons += len(item)
            for name in item:
                colons += name.count(":")
            item = item.values()
        for inner in item:
            kind = type(inner)
            if kind is str:
                colons += inner.count(":")
            elif kind is dict or kind is list:
                stack.append((inner, depth + 1))
    return colons, deepest


def _refuse_duplicates(data: bytes) -> None:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, inner in pairs:
            if name in found:
                raise StrictJsonError(
                    "duplicate_field", f"The field {_shown(name)} is there more than once."
                )
            found[name] = inner
        return found

    json.loads(data, object_pairs_hook=unique)


def _explained(data: bytes, error: orjson.JSONDecodeError) -> StrictJsonError:
    try:
        text = data.decode()
    except UnicodeDecodeError as undecodable:
        return StrictJsonError(
            "invalid_utf8", f"The value is not UTF-8: byte {undecodable.start} is out of place."
        )
    if "depth" in error.msg:
        return StrictJsonError("too_deep", f"The JSON is nested deeper than {MAX_DEPTH} levels.")
    rest = text[error.pos : error.pos + 9]
    before = text[max(error.pos - 9, 0) : error.pos + 9]
    if any(word in rest or word in before for word in ("NaN", "Infinity")):
        return StrictJsonError("invalid_number", "NaN and Infinity are not JSON numbers.")
    return StrictJsonError(
        "invalid_json",
        f"The JSON is broken at line {error.lineno}, column {error.colno}: {error.msg}.",
    )


def _shown(name: str) -> str:
    return repr(name[:40])
