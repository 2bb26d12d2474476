"""What form a record's value has: an object, plain text, or nothing that could be a prompt."""

from typing import Any, cast

from broker.records.field_rules import InvalidField
from broker.records.incoming import InputRecord
from broker.records.strict_json import StrictJsonError, loads


def fields_of(record: InputRecord) -> dict[str, Any]:
    """The JSON object, or `{"prompt": text}` of plain text; raises InvalidField."""
    value = record.value
    if value is None:
        raise InvalidField("null_value", "The record has no value; a prompt was expected.")
    if not value.strip():
        raise InvalidField("empty_value", "The record's value is empty; a prompt was expected.")
    if value.lstrip()[:1] == b"{":
        try:
            fields = loads(value)
        except StrictJsonError as error:
            raise InvalidField(error.code, error.message) from error
        return cast("dict[str, Any]", fields)
    if record.header("content-type") == b"application/json":
        raise InvalidField("not_an_object", "The value is JSON by its header, but not an object.")
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        raise InvalidField(
            "invalid_utf8", f"The value is not UTF-8: byte {error.start} is out of place."
        ) from error
    if not text.strip():  # text knows more kinds of white space than bytes do
        raise InvalidField("empty_value", "The record's value is empty; a prompt was expected.")
    if _looks_like_json(text):
        raise InvalidField(
            "not_an_object", "The value is JSON, but not an object with a prompt in it."
        )
    return {"prompt": text}


def _looks_like_json(text: str) -> bool:
    """A JSON array or quoted string is a mistake; `42` or `true` may well be a question."""
    stripped = text.strip()
    if (stripped[0], stripped[-1]) not in {("[", "]"), ('"', '"')}:
        return False
    try:
        loads(stripped.encode())
    except StrictJsonError as error:
        return error.code == "too_deep"
    return True
