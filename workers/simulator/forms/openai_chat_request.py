"""Reads a request in OpenAI's chat form, and says in OpenAI's words what is wrong with it."""

from collections.abc import Mapping
from typing import Any, Final

from broker.core.weighing import Equivalents, content_of
from workers.simulator.asked import LONGEST_ANSWER, ChatAsked, Tool
from workers.simulator.forms.json_fields import (
    boolean,
    model_of,
    number,
    object_of,
    whole_number,
)
from workers.simulator.problems import invalid, wrong

OUTPUT_FIELD: Final = "simulated_output_tokens"
"""A field of ours: the length that the answer has of itself, before any maximum cuts it."""

MOST_CHOICES: Final = 128
EFFORTS: Final[Mapping[str, int]] = {
    "none": 0,
    "minimal": 0,
    "low": 64,
    "medium": 256,
    "high": 1_024,
    "xhigh": 2_048,
}
"""Tokens that are thought by `reasoning_effort`; without one this model does not think."""
_ROLES: Final = ("system", "developer", "user", "assistant", "tool", "function")
_FORMATS: Final = ("text", "json_object", "json_schema")
_HOTTEST: Final = 2.0


def read_chat(body: bytes, model: str | None = None) -> ChatAsked:
    """Read a request's body; `model` is the path's, where that names one. Raises Problem."""
    data = object_of(body)
    name = model_of(data) if model is None else model
    _check_messages(data.get("messages"))
    stream = boolean(data, "stream")
    options = data.get("stream_options")
    if options is not None and not stream:
        raise wrong("stream_options", "is only allowed when 'stream' is enabled")
    if options is not None and not isinstance(options, dict):
        raise wrong("stream_options", "must be an object")
    number(data, "temperature", 0.0, _HOTTEST)
    number(data, "top_p", 0.0, 1.0)
    content = content_of(data, Equivalents())
    return ChatAsked(
        model=name,
        texts=content.texts,
        extra_tokens=content.extra_tokens,
        max_tokens=_maximum(data),
        own_tokens=whole_number(data, OUTPUT_FIELD, LONGEST_ANSWER),
        choices=whole_number(data, "n", MOST_CHOICES) or 1,
        stream=stream,
        include_usage=boolean(options, "include_usage") if options else False,
        tool=tool_of(data) if data.get("tools") else None,
        schema=_schema(data["response_format"]) if data.get("response_format") else None,
        thoughts=effort(data, "reasoning_effort"),
    )


def effort(data: Mapping[str, Any], name: str) -> int:
    """Tokens to think, by a field of that name; raises Problem."""
    given = data.get(name)
    if given is None:
        return 0
    if not isinstance(given, str) or given not in EFFORTS:
        raise wrong(name, f"must be one of {', '.join(EFFORTS)}")
    return EFFORTS[given]


def tool_of(data: Mapping[str, Any], *, nested: bool = True) -> Tool | None:
    """The tool that must be called, None where none must; raises Problem.

    `nested`: functions are described inside `function` (chat), not beside the type (responses).
    """
    tools = data.get("tools")
    if not isinstance(tools, list):
        raise wrong("tools", "must be an array", code="invalid_type")
    functions: dict[str, Any] = {}
    for place, tool in enumerate(tools):
        given = tool.get("function") if nested and isinstance(tool, dict) else tool
        if isinstance(tool, dict) and tool.get("type", "function") != "function":
            continue
        if not isinstance(given, dict) or not isinstance(given.get("name"), str):
            raise wrong(f"tools[{place}]", "must have a name", code="missing_required_parameter")
        functions[given["name"]] = given.get("parameters")
    choice = data.get("tool_choice")
    if choice in (None, "auto", "none"):
        return None
    name = next(iter(functions), None)
    if isinstance(choice, dict):
        inner = choice.get("function") if nested else choice
        name = inner.get("name") if isinstance(inner, dict) else None
    elif choice != "required":
        raise wrong("tool_choice", "must be none, auto, required or a function's name")
    if name not in functions:
        raise wrong("tool_choice", "names a function that is not in 'tools'")
    schema = functions[name]
    return Tool(name, schema if isinstance(schema, dict) else {})


def _schema(form: Any) -> Mapping[str, Any] | None:
    kind = form.get("type") if isinstance(form, dict) else None
    if kind not in _FORMATS:
        raise wrong("response_format.type", f"must be one of {', '.join(_FORMATS)}")
    if kind != "json_schema":
        return {} if kind == "json_object" else None
    inner = form.get("json_schema")
    if not isinstance(inner, dict) or not isinstance(inner.get("name"), str):
        raise wrong("response_format.json_schema", "must have a name")
    schema = inner.get("schema")
    return schema if isinstance(schema, dict) else {}


def _maximum(data: Mapping[str, Any]) -> int | None:
    if data.get("max_tokens") is not None and data.get("max_completion_tokens") is not None:
        raise invalid(
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
            code="invalid_parameter_combination",
            param="max_tokens",
        )
    found = whole_number(data, "max_completion_tokens")
    return whole_number(data, "max_tokens") if found is None else found


def _check_messages(messages: Any) -> None:
    if messages is None:
        raise invalid(
            "Missing required parameter: 'messages'.",
            code="missing_required_parameter",
            param="messages",
        )
    if not isinstance(messages, list):
        raise wrong("messages", "must be an array of objects", code="invalid_type")
    if not messages:
        raise wrong("messages", "must not be an empty array", code="empty_array")
    for place, message in enumerate(messages):
        where = f"messages[{place}]"
        if not isinstance(message, dict):
            raise wrong(where, "must be an object", code="invalid_type")
        role = message.get("role")
        if role not in _ROLES:
            raise wrong(f"{where}.role", f"must be one of {', '.join(_ROLES)}")
        content = message.get("content")
        if content is None and role != "assistant":
            raise wrong(f"{where}.content", "must not be null", code="invalid_type")
        if not isinstance(content, str | list | None):
            raise wrong(f"{where}.content", "must be a string or an array", code="invalid_type")
        if isinstance(content, list) and not all(
            isinstance(part, dict) and isinstance(part.get("type"), str) for part in content
        ):
            raise wrong(f"{where}.content", "must hold parts with a type", code="invalid_type")
