"""Messages of a chat in OpenAI's form as Ollama's: one text each, pictures and tools beside it."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from workers.providers.dialect import CannotExpressError

_ROLES: Final[Mapping[str, str]] = {"developer": "system"}


def ollama_messages(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The messages; raises CannotExpressError for what has no place in them."""
    names: dict[Any, Any] = {}
    made = []
    for message in messages:
        role = message["role"]
        one: dict[str, Any] = {"role": _ROLES.get(role, role)}
        one.update(_content(message.get("content") or message.get("refusal")))
        calls = message.get("tool_calls")
        if calls:
            one["tool_calls"] = [_call(call, names) for call in calls]
        if role == "tool":
            # A result names its tool there, not the call that it answers.
            named = names.get(message.get("tool_call_id"))
            one.update({"tool_name": named} if named else {})
        made.append(one)
    return made


def _content(content: Any) -> dict[str, Any]:
    if not isinstance(content, list):
        return {"content": content or ""}
    texts, pictures = [], []
    for part in content:
        kind = part["type"]
        if kind in ("text", "refusal"):
            texts.append(str(part.get(kind)))
        elif kind == "image_url":
            pictures.append(_picture(part.get("image_url")))
        else:
            raise CannotExpressError(f"Ollama has no content of the type {str(kind)[:40]!r}.")
    return {"content": "\n".join(texts), **({"images": pictures} if pictures else {})}


def _picture(image: Any) -> str:
    """The base64 of a picture; it fetches none from elsewhere."""
    url = image.get("url") if isinstance(image, Mapping) else image
    head, comma, data = url.partition(",") if isinstance(url, str) else ("", "", "")
    if not comma or not head.startswith("data:") or not head.endswith(";base64"):
        raise CannotExpressError("Ollama takes pictures only as base64 in a data URL.")
    return str(data)


def _call(call: Any, names: dict[Any, Any]) -> dict[str, Any]:
    try:
        function = call["function"]
        name, told = function["name"], orjson.loads(function.get("arguments") or "{}")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CannotExpressError("Ollama takes only calls whose arguments are JSON.") from error
    names[call.get("id")] = name
    return {"function": {"name": name, "arguments": told}}
