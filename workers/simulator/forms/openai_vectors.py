"""Embeddings in OpenAI's form: https://platform.openai.com/docs/api-reference/embeddings. Pure."""

import base64
import sys
from array import array
from collections.abc import Sequence
from typing import Any, Final

from workers.simulator.asked import VectorsAsked
from workers.simulator.forms.json_fields import model_of, object_of, whole_number
from workers.simulator.made import Vectors
from workers.simulator.problems import invalid, wrong

MOST: Final = 2_048
"""Inputs of one request."""
_FORMATS: Final = (None, "float", "base64")


def read_vectors(body: bytes, model: str | None = None) -> VectorsAsked:
    """Read a request's body; raises Problem."""
    data = object_of(body)
    name = model_of(data) if model is None else model
    texts, tokens = _inputs(data.get("input"))
    if data.get("encoding_format") not in _FORMATS:
        raise wrong("encoding_format", "must be float or base64")
    return VectorsAsked(
        model=name,
        texts=texts,
        extra_tokens=tokens,
        dimensions=whole_number(data, "dimensions"),
        base64=data.get("encoding_format") == "base64",
    )


def whole_vectors(asked: VectorsAsked, made: Vectors) -> dict[str, Any]:
    """The reply, in the order of the inputs."""
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": _written(vector, asked)}
            for index, vector in enumerate(made.vectors)
        ],
        "model": made.model,
        "usage": {"prompt_tokens": made.input_tokens, "total_tokens": made.input_tokens},
    }


def _written(vector: Sequence[float], asked: VectorsAsked) -> Any:
    if not asked.base64:
        return list(vector)
    numbers = array("f", vector)
    if sys.byteorder == "big":
        numbers.byteswap()
    return base64.b64encode(numbers.tobytes()).decode()


def _inputs(given: Any) -> tuple[tuple[str, ...], int]:
    """The texts, and how many tokens there are beside them: an input may be tokens' numbers."""
    if given is None:
        raise invalid(
            "Missing required parameter: 'input'.",
            code="missing_required_parameter",
            param="input",
        )
    items = given if isinstance(given, list) else [given]
    if items and all(type(one) is int for one in items):
        items = [items]
    if not items or len(items) > MOST:
        raise wrong("input", f"must hold 1 to {MOST} inputs")
    texts, tokens = [], 0
    for place, one in enumerate(items):
        if isinstance(one, list) and one and all(type(number) is int for number in one):
            tokens += len(one)
            texts.append("")
        elif isinstance(one, str) and one:
            texts.append(one)
        else:
            raise wrong(f"input[{place}]", "must be a text that is not empty, or tokens")
    return tuple(texts), tokens
