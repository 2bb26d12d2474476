"""A chat prompt as a request in OpenAI's Responses form, for models that need it.

Sources: `openai.types.responses.response_create_params`, `response_input_param`, and for what is
mapped `openai.types.chat.completion_create_params` of the SDK. A test holds that every field of a
chat stands in one of the tables here.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from workers.providers.chat_form import in_responses_form
from workers.providers.dialect import CannotExpressError

MAPPED: Final = frozenset(
    {
        *("messages", "prompt", "input", "instructions", "model", "stream", "stream_options"),
        *("max_output_tokens", "max_completion_tokens", "max_tokens", "response_format"),
        *("verbosity", "reasoning_effort", "tools", "tool_choice", "logprobs", "store"),
        *("n", "modalities"),
        *("id", "tenant", "kind", "priority", "deadline", "timeout_s", "provider", "metadata"),
        *("providers", "regions", "max_cost_usd"),
    }
)
"""Fields that are written anew here, mean nothing more there, or are the broker's own."""

REFUSED: Final[Mapping[str, str]] = {
    "audio": "spoken answers",
    "frequency_penalty": "a penalty for repetition",
    "function_call": "functions that are no tools",
    "functions": "functions that are no tools",
    "logit_bias": "a bias of tokens",
    "prediction": "a predicted answer",
    "presence_penalty": "a penalty for repetition",
    "seed": "a seed",
    "stop": "stop sequences",
    "web_search_options": "the chats' search of the web",
}
"""What chats can say and Responses cannot."""

SAME: Final = frozenset(
    {
        *("moderation", "parallel_tool_calls", "prompt_cache_key", "prompt_cache_options"),
        *("prompt_cache_retention", "safety_identifier", "service_tier", "temperature"),
        *("top_logprobs", "top_p", "user"),
    }
)
"""Fields with one name and meaning in both forms."""

_OUR_FIELDS: Final = frozenset(
    {
        *("id", "tenant", "kind", "model", "priority", "deadline", "timeout_s", "provider"),
        *("providers", "regions", "max_cost_usd"),
        *("metadata", "stream", "messages", "prompt"),
    }
)


def responses_body(fields: Mapping[str, Any], *, streamed: bool) -> dict[str, Any]:
    """The body but for the model; raises CannotExpressError."""
    if in_responses_form(fields):
        if fields.get("background"):
            raise CannotExpressError("An answer in the background has no end to wait for.")
        body = {name: value for name, value in fields.items() if name not in _OUR_FIELDS}
    else:
        body = _from_chat(fields)
    if streamed:
        body["stream"] = True
    else:
        body.pop("stream_options", None)
    return body


def _refuse(fields: Mapping[str, Any]) -> None:
    for name, what in REFUSED.items():
        if fields.get(name):
            raise CannotExpressError(f"Responses know no {what}, and `{name}` asks for it.")
    if (fields.get("n") or 1) != 1:
        raise CannotExpressError("Responses make one answer, and `n` asks for more.")
    if fields.get("modalities") not in (None, ["text"]):
        raise CannotExpressError("Responses answer in text, and `modalities` asks for more.")


def _from_chat(fields: Mapping[str, Any]) -> dict[str, Any]:
    _refuse(fields)
    messages = fields.get("messages")
    body: dict[str, Any] = {
        "input": fields.get("prompt") if messages is None else _items(messages),
        # A chat is not kept unless it asks to be, a response is unless it asks not to be.
        "store": fields.get("store") is True,
    }
    if fields.get("instructions") is not None:
        body["instructions"] = fields["instructions"]
    for name in ("max_output_tokens", "max_completion_tokens", "max_tokens"):
        if fields.get(name) is not None:
            body.setdefault("max_output_tokens", fields[name])
    body.update(_format_and_effort(fields))
    body.update(_tools(fields))
    if fields.get("logprobs"):
        body["include"] = ["message.output_text.logprobs"]
    options = fields.get("stream_options")
    if isinstance(options, Mapping):
        options = {name: value for name, value in options.items() if name != "include_usage"}
        body.update({"stream_options": options} if options else {})
    known = MAPPED | REFUSED.keys()
    body.update((name, value) for name, value in fields.items() if name not in known)
    return body


def _format_and_effort(fields: Mapping[str, Any]) -> dict[str, Any]:
    text: dict[str, Any] = {}
    form = fields.get("response_format")
    if isinstance(form, Mapping):
        schema = form.get("json_schema")
        text["format"] = {"type": "json_schema", **schema} if isinstance(schema, Mapping) else form
    if fields.get("verbosity") is not None:
        text["verbosity"] = fields["verbosity"]
    body: dict[str, Any] = {"text": text} if text else {}
    if fields.get("reasoning_effort") is not None:
        body["reasoning"] = {"effort": fields["reasoning_effort"]}
    return body


def _tools(fields: Mapping[str, Any]) -> dict[str, Any]:
    body: dict[str, Any] = {}
    if fields.get("tools"):
        body["tools"] = [_flat(tool) for tool in fields["tools"]]
    if fields.get("tool_choice") is not None:
        body["tool_choice"] = _choice(fields["tool_choice"])
    return body


def _flat(tool: Any) -> Any:
    """A tool as Responses have it: what it is stands beside its type."""
    kind = tool.get("type") if isinstance(tool, Mapping) else None
    inner = tool.get(kind) if isinstance(kind, str) else None
    if not isinstance(inner, Mapping):
        return tool
    flat = {"type": kind, **inner}
    if kind == "function":
        # Both are required there; a chat's function is not strict unless it says so.
        flat.setdefault("parameters", None)
        flat.setdefault("strict", False)
    form = flat.get("format")
    if isinstance(form, Mapping) and isinstance(form.get("grammar"), Mapping):
        flat["format"] = {"type": "grammar", **form["grammar"]}
    return flat


def _choice(choice: Any) -> Any:
    if not isinstance(choice, Mapping):
        return choice
    allowed = choice.get("allowed_tools")
    if isinstance(allowed, Mapping):
        tools = allowed.get("tools")
        named = [_flat_name(tool) for tool in tools] if isinstance(tools, list) else []
        return {"type": "allowed_tools", "mode": allowed.get("mode", "auto"), "tools": named}
    return _flat_name(choice)


def _flat_name(tool: Any) -> Any:
    kind = tool.get("type") if isinstance(tool, Mapping) else None
    inner = tool.get(kind) if isinstance(kind, str) else None
    return {"type": kind, "name": inner.get("name")} if isinstance(inner, Mapping) else tool


def _items(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    custom: set[Any] = set()
    for message in messages:
        role, content = message["role"], message.get("content")
        if message.get("name") or message.get("audio") or message.get("function_call"):
            raise CannotExpressError("Responses have no place for names or speech in messages.")
        if role == "tool":
            output = content if isinstance(content, str) else _parts(content, "input_text")
            called = message.get("tool_call_id")
            kind = "custom_tool_call_output" if called in custom else "function_call_output"
            items.append({"type": kind, "call_id": called, "output": output})
            continue
        own = role == "assistant"
        parts = (
            content
            if isinstance(content, str)
            else _parts(content, "output_text" if own else "input_text")
        )
        if own and message.get("refusal"):
            told = {"type": "refusal", "refusal": message["refusal"]}
            parts = [*_as_parts(parts), told]
        if parts:
            items.append({"role": role, "content": parts})
        calls = message.get("tool_calls") or ()
        custom.update(call.get("id") for call in calls if call.get("type") == "custom")
        items.extend(map(_call, calls))
    return items


def _as_parts(parts: Any) -> list[Any]:
    return [{"type": "output_text", "text": parts}] if isinstance(parts, str) else parts


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    kind = call.get("type", "function")
    inner = call.get(kind)
    if not isinstance(inner, Mapping):
        raise CannotExpressError("A call of a tool in the messages has an unknown form.")
    told = "arguments" if kind == "function" else "input"
    names = {"call_id": call.get("id"), "name": inner.get("name"), told: inner.get(told)}
    return {"type": "function_call" if kind == "function" else "custom_tool_call", **names}


def _parts(content: Any, text: str) -> list[dict[str, Any]]:
    return [_part(part, text) for part in content or ()]


def _part(part: Mapping[str, Any], text: str) -> dict[str, Any]:
    kind = part["type"]
    if kind == "text":
        return {**part, "type": text}
    if kind == "image_url" and isinstance(part.get("image_url"), Mapping):
        image = part["image_url"]
        detail = image.get("detail", "auto")  # it is required there, and this is its default
        return {"type": "input_image", "image_url": image.get("url"), "detail": detail}
    if kind == "file" and isinstance(part.get("file"), Mapping):
        return {"type": "input_file", **part["file"]}
    if kind == "refusal":
        return dict(part)
    raise CannotExpressError(f"Responses have no content of the type {str(kind)[:40]!r}.")
