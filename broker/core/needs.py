"""What a prompt asks for that a model may be unable to do, by the words of `ServedModel.lacks`."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

NEEDS: Final[Mapping[str, str]] = {
    "audio_in": "recordings as input",
    "images_in": "pictures as input",
    "json_mode": "answers as JSON",
    "json_schema": "answers by a JSON schema",
    "logprobs": "log probabilities",
    "n": "several answers at once",
    "stream": "streams",
    "tools": "tools",
}
"""Each word, and what it stands for in a sentence."""

_PART_NEEDS: Final[Mapping[str, str]] = {
    "image_url": "images_in",
    "input_image": "images_in",
    "image": "images_in",
    "input_audio": "audio_in",
    "audio": "audio_in",
}
_TOOL_ITEMS: Final = frozenset(
    {"function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output"}
)
_FORMAT_NEEDS: Final[Mapping[str, str]] = {"json_object": "json_mode", "json_schema": "json_schema"}


def needs_of(fields: Mapping[str, Any], kind: str) -> frozenset[str]:
    """The needs of a prompt, in OpenAI's chat form or in that of its Responses.

    Never fails: what has an unknown form needs nothing.
    """
    if kind == "embedding":
        return frozenset()
    found = set(_common(fields))
    if kind == "image":
        if fields.get("image") is not None:
            found.add("images_in")
        return frozenset(found - {"stream"})  # a picture comes whole, streamed or not
    found.update(_chat(fields))
    for name in ("messages", "input"):
        found.update(_content(fields.get(name)))
    return frozenset(found)


def _common(fields: Mapping[str, Any]) -> Iterator[str]:
    wanted = fields.get("n")
    if isinstance(wanted, int) and wanted > 1:
        yield "n"
    if fields.get("stream") is True:
        yield "stream"


def _chat(fields: Mapping[str, Any]) -> Iterator[str]:
    if fields.get("tools") or fields.get("functions"):
        yield "tools"
    if fields.get("logprobs") is True or fields.get("top_logprobs"):
        yield "logprobs"
    text = fields.get("text")
    nested = text.get("format") if isinstance(text, Mapping) else None
    for wanted in (fields.get("response_format"), nested):
        if isinstance(wanted, Mapping) and isinstance(wanted.get("type"), str):
            need = _FORMAT_NEEDS.get(wanted["type"])
            if need is not None:
                yield need


def _content(messages: Any) -> Iterator[str]:
    for message in _mappings(messages):
        if message.get("tool_calls") or message.get("role") in ("tool", "function"):
            yield "tools"
        if isinstance(kind := message.get("type"), str) and kind in _TOOL_ITEMS:
            yield "tools"
        for part in _mappings(message.get("content")):
            need = _PART_NEEDS.get(kind) if isinstance(kind := part.get("type"), str) else None
            if need is not None:
                yield need


def _mappings(given: Any) -> Iterable[Mapping[str, Any]]:
    return (one for one in given if isinstance(one, Mapping)) if isinstance(given, list) else ()
