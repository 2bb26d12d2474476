"""Prompts whose parts lie in a store: which, and the prompt with their bytes in place. Pure."""

import binascii
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import orjson

from broker.records.data_refs import (
    AUDIO_PARTS,
    FIELDS,
    TEXT_PARTS,
    data_ref_of,
    holder_of,
    is_bare_reference,
    is_reference,
)
from broker.store.media import JSON, UNKNOWN, sniffed

WHOLE: Final = ("prompt", "input")
"""Fields that may come by reference as a whole."""

_LISTS: Final = ("messages", "input")
"""Fields that may be lists: of messages, whose parts may come by reference, or of inputs."""

_NAMES: Final[Mapping[str, str]] = {
    "image_url": "url",
    "input_image": "image_url",
    "file": "file_data",
    "input_file": "file_data",
}
_FLAT: Final = frozenset({"input_image", "input_file"})
_AUDIO_FORMS: Final[Mapping[str, str]] = {"mpeg": "mp3", "wave": "wav"}

Bytes = Callable[[str], bytes]
"""What lies at a URL."""


def holders(fields: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Each reference of a valid prompt, in the order they stand."""
    for name in WHOLE:
        if is_reference(fields.get(name)):
            yield fields[name]
    for name in _LISTS:
        given = fields.get(name)
        for message in given if isinstance(given, list) else ():
            if not isinstance(message, dict):
                continue
            if is_bare_reference(message):
                yield message
                continue
            content = message.get("content")
            for part in content if isinstance(content, list) else ():
                holder = holder_of(part)
                if holder is not None:
                    yield holder


def filled(fields: Mapping[str, Any], bytes_at: Bytes) -> dict[str, Any]:
    """The prompt as if everything had stood in it.

    Raises ValueError (UnicodeDecodeError, JSONDecodeError) for bytes that are not the text or the
    JSON that belongs in their place.
    """
    made = dict(fields)
    for name in WHOLE:
        if is_reference(fields.get(name)):
            made[name] = _whole(name, fields[name], bytes_at)
    for name in _LISTS:
        if isinstance(fields.get(name), list):
            made[name] = [_item(item, bytes_at) for item in fields[name]]
    return made


def _whole(name: str, holder: Mapping[str, Any], bytes_at: Bytes) -> Any:
    ref = data_ref_of(holder)
    data = bytes_at(ref.url)
    if name != "input" or ref.media_type != JSON:
        return data.decode()
    # Many inputs of an embedding are a list. Of what lies in a store nothing else is fetched.
    inputs = orjson.loads(data)
    if isinstance(inputs, list) and any(map(is_bare_reference, inputs)):
        raise ValueError("a list of inputs in a store holds references itself")
    return inputs


def _item(item: Any, bytes_at: Bytes) -> Any:
    if is_bare_reference(item):
        # Always text, whatever its type: a document to be embedded may well be JSON.
        return bytes_at(data_ref_of(item).url).decode()
    return _message(item, bytes_at)


def _message(message: Any, bytes_at: Bytes) -> Any:
    content = message.get("content") if isinstance(message, Mapping) else None
    if not isinstance(content, list) or all(holder_of(part) is None for part in content):
        return message
    return {**message, "content": [_part(part, bytes_at) for part in content]}


def _part(part: Mapping[str, Any], bytes_at: Bytes) -> Mapping[str, Any]:
    holder = holder_of(part)
    if holder is None:
        return part
    ref = data_ref_of(holder)
    kind, data = str(part["type"]), bytes_at(ref.url)
    rest = {name: value for name, value in holder.items() if name not in FIELDS and name != "type"}
    if kind in TEXT_PARTS:
        return {**rest, "type": kind, "text": data.decode()}
    inline = _inline(kind, rest.get("format"), ref.media_type or sniffed(data) or UNKNOWN, data)
    if kind in _FLAT:
        return {**rest, "type": kind, **inline}
    return {"type": kind, kind: {**rest, **inline}}


def _inline(kind: str, form: Any, media_type: str, data: bytes) -> dict[str, Any]:
    encoded = binascii.b2a_base64(data, newline=False).decode("ascii")
    if kind in AUDIO_PARTS:
        told = media_type.rpartition("/")[2].removeprefix("x-")
        return {"data": encoded, "format": form or _AUDIO_FORMS.get(told, told)}
    return {_NAMES[kind]: f"data:{media_type};base64,{encoded}"}
