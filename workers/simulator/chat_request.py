"""Reads a request in OpenAI's chat form, and says in OpenAI's words what is wrong with it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from broker.core.weighing import Equivalents, content_of

OUTPUT_FIELD: Final = "simulated_output_tokens"
"""A field of ours: the length that the answer has of itself, before any maximum cuts it."""

LONGEST_ANSWER: Final = 262_144
"""Most tokens of all choices together, whatever a request allows (about 1.3 MB)."""

MOST_CHOICES: Final = 128
_ROLES: Final = ("system", "developer", "user", "assistant", "tool", "function")
_HOTTEST: Final = 2.0


class ApiError(Exception):
    """A reply of a cloud that is an error; `code` and `param` as OpenAI's body has them."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        kind: str = "invalid_request_error",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = headers or {}
        self.body = orjson.dumps(
            {"error": {"message": message, "type": kind, "param": param, "code": code}}
        )


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A valid request. `max_tokens` and `own_tokens` are None where it does not say."""

    model: str
    texts: tuple[str, ...] = field(repr=False)
    extra_tokens: int
    """Input tokens of what is not text."""
    max_tokens: int | None
    own_tokens: int | None
    choices: int
    stream: bool
    include_usage: bool


def parse_chat(body: bytes) -> ChatRequest:
    """Read a request's body; raises ApiError (400)."""
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise ApiError(400, "We could not parse the JSON body of your request.") from None
    if not isinstance(data, dict):
        raise ApiError(400, "The body of your request is not a JSON object.")
    model = data.get("model")
    if not isinstance(model, str) or not model:
        raise ApiError(400, "you must provide a model parameter", param="model")
    _check_messages(data.get("messages"))
    stream = _boolean(data, "stream")
    options = data.get("stream_options")
    if options is not None and not stream:
        raise _wrong("stream_options", "is only allowed when 'stream' is enabled")
    if options is not None and not isinstance(options, dict):
        raise _wrong("stream_options", "must be an object")
    _number(data, "temperature", 0.0, _HOTTEST)
    _number(data, "top_p", 0.0, 1.0)
    content = content_of(data, Equivalents())
    return ChatRequest(
        model=model,
        texts=content.texts,
        extra_tokens=content.extra_tokens,
        max_tokens=_maximum(data),
        own_tokens=_whole_number(data, OUTPUT_FIELD, LONGEST_ANSWER),
        choices=_whole_number(data, "n", MOST_CHOICES) or 1,
        stream=stream,
        include_usage=_boolean(options or {}, "include_usage"),
    )


def _maximum(data: Mapping[str, Any]) -> int | None:
    if data.get("max_tokens") is not None and data.get("max_completion_tokens") is not None:
        raise ApiError(
            400,
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
            code="invalid_parameter_combination",
            param="max_tokens",
        )
    found = _whole_number(data, "max_completion_tokens")
    return _whole_number(data, "max_tokens") if found is None else found


def _check_messages(messages: Any) -> None:
    if messages is None:
        raise ApiError(
            400,
            "Missing required parameter: 'messages'.",
            code="missing_required_parameter",
            param="messages",
        )
    if not isinstance(messages, list):
        raise _wrong("messages", "must be an array of objects", code="invalid_type")
    if not messages:
        raise _wrong("messages", "must not be an empty array", code="empty_array")
    for place, message in enumerate(messages):
        where = f"messages[{place}]"
        if not isinstance(message, dict):
            raise _wrong(where, "must be an object", code="invalid_type")
        role = message.get("role")
        if role not in _ROLES:
            raise _wrong(f"{where}.role", f"must be one of {', '.join(_ROLES)}")
        content = message.get("content")
        if content is None and role != "assistant":
            raise _wrong(f"{where}.content", "must not be null", code="invalid_type")
        if not isinstance(content, str | list | None):
            raise _wrong(f"{where}.content", "must be a string or an array", code="invalid_type")
        if isinstance(content, list) and not all(
            isinstance(part, dict) and isinstance(part.get("type"), str) for part in content
        ):
            raise _wrong(f"{where}.content", "must hold parts with a type", code="invalid_type")


def _boolean(data: Mapping[str, Any], name: str) -> bool:
    value = data.get(name)
    if value is not None and not isinstance(value, bool):
        raise _wrong(name, "must be a boolean", code="invalid_type")
    return bool(value)


def _number(data: Mapping[str, Any], name: str, least: float, most: float) -> None:
    value = data.get(name)
    if value is None:
        return
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _wrong(name, "must be a number", code="invalid_type")
    if not least <= value <= most:
        raise _wrong(name, f"must be between {least:g} and {most:g}")


def _whole_number(data: Mapping[str, Any], name: str, most: float = math.inf) -> int | None:
    value = data.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise _wrong(name, "must be an integer", code="invalid_type")
    if value < 1:
        raise _wrong(name, "must be at least 1", code="integer_below_min_value")
    if value > most:
        raise _wrong(name, f"must be at most {most}", code="integer_above_max_value")
    return value


def _wrong(param: str, what: str, *, code: str = "invalid_value") -> ApiError:
    return ApiError(400, f"Invalid '{param}': it {what}.", code=code, param=param)
