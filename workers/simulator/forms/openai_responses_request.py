"""Reads a request in the form of OpenAI's `/responses`.

https://platform.openai.com/docs/api-reference/responses
"""

from collections.abc import Mapping
from typing import Any, Final

from broker.core.weighing import Equivalents, content_of
from workers.simulator.asked import LONGEST_ANSWER, ChatAsked
from workers.simulator.forms.json_fields import boolean, model_of, number, object_of, whole_number
from workers.simulator.forms.openai_chat_request import OUTPUT_FIELD, effort, tool_of
from workers.simulator.problems import invalid, wrong

LEAST_OUTPUT: Final = 16
"""The smallest `max_output_tokens` that is taken."""
_HOTTEST: Final = 2.0


def read_response(body: bytes, model: str | None = None) -> ChatAsked:
    """Read a request's body; raises Problem."""
    data = object_of(body)
    name = model_of(data) if model is None else model
    given = data.get("input")
    if not given or not isinstance(given, str | list):
        raise invalid(
            "Missing required parameter: 'input'.",
            code="missing_required_parameter",
            param="input",
        )
    if isinstance(given, list) and not all(isinstance(item, dict) for item in given):
        raise wrong("input", "must be a text or an array of objects", code="invalid_type")
    number(data, "temperature", 0.0, _HOTTEST)
    number(data, "top_p", 0.0, 1.0)
    most = whole_number(data, "max_output_tokens")
    if most is not None and most < LEAST_OUTPUT:
        raise wrong(
            "max_output_tokens",
            f"must be at least {LEAST_OUTPUT}",
            code="integer_below_min_value",
        )
    content = content_of(data, Equivalents())
    reasoning = data.get("reasoning")
    return ChatAsked(
        model=name,
        texts=content.texts,
        extra_tokens=content.extra_tokens,
        max_tokens=most,
        own_tokens=whole_number(data, OUTPUT_FIELD, LONGEST_ANSWER),
        stream=boolean(data, "stream"),
        tool=tool_of(data, nested=False) if data.get("tools") else None,
        schema=_schema(data.get("text")),
        thoughts=effort(reasoning, "effort") if isinstance(reasoning, dict) else 0,
        given=data,
    )


def _schema(text: Any) -> Mapping[str, Any] | None:
    form = text.get("format") if isinstance(text, dict) else None
    if not isinstance(form, dict):
        return None
    kind = form.get("type")
    if kind == "json_schema":
        schema = form.get("schema")
        return schema if isinstance(schema, dict) else {}
    if kind not in ("text", "json_object"):
        raise wrong("text.format.type", "must be text, json_object or json_schema")
    return {} if kind == "json_object" else None
