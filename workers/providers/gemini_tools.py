"""OpenAI's tools, tool choice and response format in Gemini's words.

JSON schemas go as they are, in the fields that take JSON Schema (`parametersJsonSchema`,
`responseJsonSchema`), as Google recommends over its older subset of OpenAPI.
"""

from collections.abc import Mapping
from typing import Any, Final

from workers.providers.dialect import CannotExpressError
from workers.providers.gemini_contents import list_of, object_of, text_of

_MODES: Final[Mapping[str, str]] = {"auto": "AUTO", "none": "NONE", "required": "ANY"}


def tools_of(fields: Mapping[str, Any]) -> dict[str, Any]:
    """`tools` and `toolConfig` of a prompt, where it has some; raises CannotExpressError."""
    tools = list_of(fields.get("tools") or [], "`tools`")
    choice = fields.get("tool_choice")
    if not tools:
        if choice not in (None, "auto", "none"):
            raise CannotExpressError("`tool_choice` asks for a tool, and there is none.")
        return {}
    if fields.get("parallel_tool_calls") is False:
        raise CannotExpressError("Gemini cannot be kept from several calls at once.")
    functions = [_function(object_of(tool, "A tool")) for tool in tools]
    asked: dict[str, Any] = {
        "tools": [{"functionDeclarations": [_declared(function) for function in functions]}]
    }
    strict = any(function.get("strict") is True for function in functions)
    config = _choice(choice, strict=strict)
    if config is not None:
        asked["toolConfig"] = {"functionCallingConfig": config}
    return asked


def _function(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    if tool.get("type", "function") != "function":
        raise CannotExpressError("Gemini takes tools of type function only.")
    return object_of(tool.get("function"), "A tool")


def _declared(function: Mapping[str, Any]) -> dict[str, Any]:
    declared: dict[str, Any] = {"name": text_of(function.get("name"), "The name of a tool")}
    if function.get("description") is not None:
        declared["description"] = text_of(function["description"], "The description of a tool")
    if function.get("parameters") is not None:
        declared["parametersJsonSchema"] = object_of(
            function["parameters"], "The schema of a tool's parameters"
        )
    return declared


def _choice(choice: Any, *, strict: bool) -> dict[str, Any] | None:
    """None where Gemini does of itself what was chosen."""
    if choice is None or choice == "auto":
        # VALIDATED is AUTO that keeps to the schemas, which is what `strict` promises.
        return {"mode": "VALIDATED"} if strict else None
    if isinstance(choice, str):
        mode = _MODES.get(choice)
        if mode is None:
            raise CannotExpressError(f"`tool_choice` must be one of {', '.join(_MODES)}.")
        return {"mode": mode}
    chosen = object_of(choice, "`tool_choice`")
    if chosen.get("type") == "function":
        return {"allowedFunctionNames": [_named(chosen)], "mode": "ANY"}
    if chosen.get("type") == "allowed_tools":
        allowed = object_of(chosen.get("allowed_tools"), "`tool_choice`")
        tools = list_of(allowed.get("tools"), "`tool_choice`")
        return {
            "allowedFunctionNames": [_named(object_of(tool, "`tool_choice`")) for tool in tools],
            "mode": "ANY" if allowed.get("mode") == "required" else "VALIDATED",
        }
    raise CannotExpressError("Gemini can be told to call functions only, by `tool_choice`.")


def _named(tool: Mapping[str, Any]) -> str:
    function = object_of(tool.get("function"), "`tool_choice`")
    return text_of(function.get("name"), "The name in `tool_choice`")


def format_of(given: Any) -> dict[str, Any]:
    """What `response_format` becomes in `generationConfig`; raises CannotExpressError."""
    if given is None:
        return {}
    wanted = object_of(given, "`response_format`")
    kind = wanted.get("type")
    if kind == "text":
        return {}
    config: dict[str, Any] = {"responseMimeType": "application/json"}
    if kind == "json_schema":
        described = object_of(wanted.get("json_schema"), "`response_format`")
        schema = described.get("schema")
        if schema is not None:
            config["responseJsonSchema"] = object_of(schema, "The schema of `response_format`")
    elif kind != "json_object":
        raise CannotExpressError("Gemini takes a `response_format` of text, or JSON with a schema.")
    return config
