"""JSON that fits a schema roughly: for structured answers and for the arguments of tools. Pure.

Known are types, properties, items, enumerations, constants, bounds, references and alternatives, in
JSON Schema's spelling or Google's (types in capitals). What is not known is not kept.
"""

from collections.abc import Callable, Mapping
from random import Random
from typing import Any, Final

DEEPEST: Final = 8
"""Levels of a schema that are followed: one may refer to itself."""
MOST_VALUES: Final = 1_000
"""Values that are made for one answer; what is beyond is null."""
_MOST_ITEMS: Final = 20
_LARGEST: Final = 1e15
_FORMATS: Final[Mapping[str, str]] = {
    "date": "2026-11-26",
    "date-time": "2026-11-26T10:00:00Z",
    "time": "10:00:00Z",
    "email": "someone@example.com",
    "uri": "https://example.com/",
    "uuid": "0b4ad9a6-1a55-4c1b-9d2b-6d3b0f1c8a11",
}


class JsonAnswer:
    """Makes one value after another; `words` gives a text of so many tokens."""

    def __init__(
        self, schema: Mapping[str, Any], chance: Random, words: Callable[[int, Random], str]
    ) -> None:
        self._root = schema
        self._chance = chance
        self._words = words
        self._left = MOST_VALUES

    def value(self) -> Any:
        """A value of the schema."""
        return self._of(self._root, 0)

    def _of(self, schema: Any, depth: int) -> Any:
        schema = self._resolved(schema, depth)
        if "const" in schema:
            return schema["const"]
        options = schema.get("enum")
        if isinstance(options, list) and options:
            return self._chance.choice(options)
        self._left -= 1
        if depth >= DEEPEST or self._left < 0:
            return None
        make = _MAKERS.get(_type_of(schema), JsonAnswer._text)
        return make(self, schema, depth)

    def _resolved(self, schema: Any, depth: int) -> Mapping[str, Any]:
        """The schema itself, after references and the first of the alternatives."""
        for _ in range(DEEPEST):
            if not isinstance(schema, Mapping):
                return {}
            if isinstance(schema.get("$ref"), str):
                schema = self._referred(schema["$ref"])
                continue
            found = next(
                (one for name in ("anyOf", "oneOf", "allOf") if (one := schema.get(name))), None
            )
            if not isinstance(found, list):
                return schema
            # Deep down the last one is taken: where a schema refers to itself, that is `null`.
            schema = found[0 if depth < DEEPEST // 2 else -1]
        return {}

    def _referred(self, reference: str) -> Any:
        found: Any = self._root
        for name in reference.removeprefix("#").strip("/").split("/"):
            if name:
                found = found.get(name) if isinstance(found, Mapping) else None
        return found

    def _object(self, schema: Mapping[str, Any], depth: int) -> Any:
        properties = schema.get("properties")
        if not isinstance(properties, Mapping):
            return {}
        return {name: self._of(inner, depth + 1) for name, inner in properties.items()}

    def _array(self, schema: Mapping[str, Any], depth: int) -> Any:
        least, most = _whole(schema, "minItems", 1), _whole(schema, "maxItems", _MOST_ITEMS)
        count = min(max(least, min(2, most)), _MOST_ITEMS)
        return [self._of(schema.get("items"), depth + 1) for _ in range(count)]

    def _integer(self, schema: Mapping[str, Any], _depth: int) -> Any:
        return round(self._between(schema))

    def _number(self, schema: Mapping[str, Any], _depth: int) -> Any:
        return round(self._between(schema), 3)

    def _between(self, schema: Mapping[str, Any]) -> float:
        least, most = schema.get("minimum"), schema.get("maximum")
        if not isinstance(least, int | float):
            least = 0 if not isinstance(most, int | float) else most - 100
        if not isinstance(most, int | float):
            most = least + 100
        least, most = max(-_LARGEST, least), min(_LARGEST, most)
        return float(least + self._chance.random() * (most - least))

    def _text(self, schema: Mapping[str, Any], _depth: int) -> Any:
        form = schema.get("format")
        if isinstance(form, str) and form in _FORMATS:
            return _FORMATS[form]
        text = self._words(8, self._chance)
        least = min(_whole(schema, "minLength", 0), 10_000)
        while len(text) < least:
            text += " " + self._words(16, self._chance)
        return text[: max(0, _whole(schema, "maxLength", len(text)))]

    def _boolean(self, _schema: Mapping[str, Any], _depth: int) -> Any:
        return self._chance.random() < 0.5  # noqa: PLR2004 - one of two

    def _null(self, _schema: Mapping[str, Any], _depth: int) -> Any:
        return None


def _type_of(schema: Mapping[str, Any]) -> str:
    given = schema.get("type")
    if isinstance(given, list):
        given = next((one for one in given if one != "null"), None)
    if isinstance(given, str):
        return given.lower()
    return "object" if "properties" in schema else "array" if "items" in schema else "string"


def _whole(schema: Mapping[str, Any], name: str, otherwise: int) -> int:
    given = schema.get(name)
    try:
        return otherwise if given is None else int(given)  # Google writes numbers as texts
    except (TypeError, ValueError):
        return otherwise


_MAKERS: Final[Mapping[str, Callable[[JsonAnswer, Mapping[str, Any], int], Any]]] = {
    "object": JsonAnswer._object,  # noqa: SLF001 - a table of its own methods
    "array": JsonAnswer._array,  # noqa: SLF001 - a table of its own methods
    "integer": JsonAnswer._integer,  # noqa: SLF001 - a table of its own methods
    "number": JsonAnswer._number,  # noqa: SLF001 - a table of its own methods
    "boolean": JsonAnswer._boolean,  # noqa: SLF001 - a table of its own methods
    "null": JsonAnswer._null,  # noqa: SLF001 - a table of its own methods
}
