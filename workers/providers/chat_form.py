"""A chat prompt in OpenAI's chat form, whichever of its forms it came in.

It comes as `messages`, as a plain `prompt`, or with `input`, the name of the Responses form: then
its other fields have that form's names too, and those are mapped as well. Sources: `openai.types.
chat.completion_create_params` and `openai.types.responses.response_create_params` of the SDK.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from workers.providers.dialect import CannotExpressError

_PARTS: Final = frozenset({"input_text", "output_text", "text", "summary_text"})
_ONLY_RESPONSES: Final[Mapping[str, str]] = {
    "previous_response_id": "a response that the provider has kept",
    "conversation": "a conversation that the provider has kept",
    "background": "an answer in the background",
    "context_management": "a context that the provider manages",
}
_DROPPED: Final = frozenset(
    {"input", "instructions", "text", "reasoning", "include", "truncation", "max_tool_calls"}
)
"""Mapped below, or without a meaning where there are no tools of the provider's own."""


def in_responses_form(fields: Mapping[str, Any]) -> bool:
    """Whether a chat prompt came as `input`, so that its fields have the Responses' names."""
    get = fields.get
    return get("input") is not None and get("messages") is None and get("prompt") is None


def messages_of(fields: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The messages of a chat prompt; raises CannotExpressError for what only Responses can say."""
    messages: list[dict[str, Any]] | None = fields.get("messages")
    if messages is None:
        text = fields.get("prompt")
        given = fields.get("input") if text is None else text
        messages = (
            _messages_from(given)
            if isinstance(given, list)
            else [{"role": "user", "content": given}]
        )
    instructions = fields.get("instructions")
    if instructions is None:
        return messages
    return [{"role": "system", "content": instructions}, *messages]


def chat_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The other fields of a prompt in Responses' form by the names that chats have for them."""
    for name, what in _ONLY_RESPONSES.items():
        if fields.get(name):
            raise CannotExpressError(f"Chats know nothing of {what}, and `{name}` asks for it.")
    if fields.get("truncation") == "auto":
        raise CannotExpressError("Chats never drop what is too long, and `truncation` asks for it.")
    found = {name: value for name, value in fields.items() if name not in _DROPPED}
    text, reasoning = fields.get("text"), fields.get("reasoning")
    if isinstance(text, Mapping):
        found |= _text(text)
    if isinstance(reasoning, Mapping) and reasoning.get("effort") is not None:
        found["reasoning_effort"] = reasoning["effort"]
    if isinstance(fields.get("tools"), list):
        found["tools"] = [nested_tool(tool) for tool in fields["tools"]]
    if isinstance(fields.get("tool_choice"), Mapping):
        found["tool_choice"] = _tool_choice(fields["tool_choice"])
    included = fields.get("include")
    wanted = isinstance(included, list) and "message.output_text.logprobs" in included
    if wanted or fields.get("top_logprobs"):
        found["logprobs"] = True
    return found


def nested_tool(tool: Any) -> Any:
    """A tool as chats have it: what it is stands in an object of its own."""
    if not isinstance(tool, Mapping) or isinstance(tool.get(str(tool.get("type"))), Mapping):
        return tool
    kind = tool.get("type")
    if kind not in ("function", "custom"):
        raise CannotExpressError(f"Chats have no tool of the type {str(kind)[:40]!r}.")
    inner = {name: value for name, value in tool.items() if name != "type" and value is not None}
    form = inner.get("format")
    if kind == "custom" and isinstance(form, Mapping) and form.get("type") == "grammar":
        grammar = {name: value for name, value in form.items() if name != "type"}
        inner["format"] = {"type": "grammar", "grammar": grammar}
    return {"type": kind, kind: inner}


def _text(text: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if text.get("verbosity") is not None:
        found["verbosity"] = text["verbosity"]
    form = text.get("format")
    if isinstance(form, Mapping):
        if form.get("type") == "json_schema":
            schema = {name: value for name, value in form.items() if name != "type"}
            found["response_format"] = {"type": "json_schema", "json_schema": schema}
        elif form.get("type") != "text":
            found["response_format"] = form
    return found


def _tool_choice(choice: Mapping[str, Any]) -> Any:
    kind = choice.get("type")
    if kind in ("function", "custom") and "name" in choice:
        return {"type": kind, kind: {"name": choice["name"]}}
    if kind == "allowed_tools" and "allowed_tools" not in choice:
        tools = choice.get("tools")
        nested = [nested_tool(tool) for tool in tools] if isinstance(tools, list) else []
        return {
            "type": kind,
            "allowed_tools": {"mode": choice.get("mode", "auto"), "tools": nested},
        }
    return choice


def _messages_from(items: Sequence[Any]) -> list[dict[str, Any]]:
    """The items of `input` as messages; calls of tools join the assistant's message before them."""
    messages: list[dict[str, Any]] = []
    for item in items:
        kind = item.get("type", "message") if isinstance(item, Mapping) else None
        if kind == "message":
            messages.append({"role": item.get("role"), "content": _content(item.get("content"))})
        elif kind in ("function_call", "custom_tool_call"):
            if not messages or messages[-1]["role"] != "assistant":
                messages.append({"role": "assistant", "content": None})
            messages[-1].setdefault("tool_calls", []).append(_call(kind, item))
        elif kind in ("function_call_output", "custom_tool_call_output"):
            messages.append(
                {
                    "role": "tool",
                    "tool_call_id": item.get("call_id"),
                    "content": _content(item.get("output")),
                }
            )
        elif kind != "reasoning":  # thoughts of an earlier turn; a chat begins without them
            raise CannotExpressError(f"Chats have no item of the type {str(kind)[:40]!r}.")
    return messages


def _call(kind: str, item: Mapping[str, Any]) -> dict[str, Any]:
    name, called = item.get("name"), item.get("call_id")
    if kind == "function_call":
        function = {"name": name, "arguments": item.get("arguments")}
        return {"id": called, "type": "function", "function": function}
    return {"id": called, "type": "custom", "custom": {"name": name, "input": item.get("input")}}


def _content(content: Any) -> Any:
    return [_part(part) for part in content] if isinstance(content, list) else content


def _part(part: Any) -> Any:
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind in _PARTS:
        return {"type": "text", "text": part.get("text")}
    if kind == "input_image" and part.get("image_url") is not None:
        image = {"url": part["image_url"]}
        if part.get("detail") is not None:
            image["detail"] = part["detail"]
        return {"type": "image_url", "image_url": image}
    if kind == "input_file" and part.get("file_url") is None:
        names = ("file_data", "file_id", "filename")
        file = {name: part[name] for name in names if part.get(name) is not None}
        return {"type": "file", "file": file}
    if kind in ("input_audio", "refusal", "image_url", "file"):
        return dict(part)
    raise CannotExpressError(f"Chats have no such content as this of type {str(kind)[:40]!r}.")
