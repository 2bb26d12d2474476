"""Fields of a request's JSON, and in OpenAI's words what is wrong with them."""

import math
from collections.abc import Mapping
from typing import Any

import orjson

from workers.simulator.problems import invalid, wrong


def object_of(body: bytes) -> dict[str, Any]:
    """The body's JSON object; raises Problem."""
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise invalid("We could not parse the JSON body of your request.") from None
    if not isinstance(data, dict):
        raise invalid("The body of your request is not a JSON object.")
    return data


def model_of(data: Mapping[str, Any]) -> str:
    """The name in `model`; raises Problem."""
    model = data.get("model")
    if not isinstance(model, str) or not model:
        raise invalid("you must provide a model parameter", param="model")
    return model


def boolean(data: Mapping[str, Any], name: str) -> bool:
    """False where it is missing; raises Problem."""
    value = data.get(name)
    if value is not None and not isinstance(value, bool):
        raise wrong(name, "must be a boolean", code="invalid_type")
    return bool(value)


def number(data: Mapping[str, Any], name: str, least: float, most: float) -> None:
    """Check a number that changes nothing here; raises Problem."""
    value = data.get(name)
    if value is None:
        return
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise wrong(name, "must be a number", code="invalid_type")
    if not least <= value <= most:
        raise wrong(name, f"must be between {least:g} and {most:g}")


def whole_number(data: Mapping[str, Any], name: str, most: float = math.inf) -> int | None:
    """A whole number from 1 to `most`, None where it is missing; raises Problem."""
    value = data.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise wrong(name, "must be an integer", code="invalid_type")
    if value < 1:
        raise wrong(name, "must be at least 1", code="integer_below_min_value")
    if value > most:
        raise wrong(name, f"must be at most {most}", code="integer_above_max_value")
    return value
