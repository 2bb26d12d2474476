"""Embeddings of Vertex: `predict`, and `embedContent` of the models that are asked that way."""

import sys
from array import array
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Final

from broker.records.usage import Usage
from broker.records.work import Work
from broker.settings.providers import ServedModel
from workers.providers.dialect import Answer, CannotExpressError, MalformedReplyError
from workers.providers.gemini_errors import error_in
from workers.providers.gemini_reply import decoded, notes_of
from workers.providers.gemini_request import BROKERS
from workers.providers.openai_reply import count_of

PREDICT: Final = "predict"
EMBED_CONTENT: Final = "embed-content"

_MOST_INPUTS: Final = 250
"""https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api"""

_HARMLESS: Final = BROKERS | {"user", "max_output_tokens", "max_tokens", "max_completion_tokens"}
_KNOWN: Final = _HARMLESS | {
    *("dimensions", "encoding_format"),
    *("task_type", "title", "auto_truncate"),  # Google's own
}


def embedding_request(fields: Mapping[str, Any], served: ServedModel) -> tuple[str, dict[str, Any]]:
    """The method and the body of a call; raises CannotExpressError.

    Without an `api` in the settings the model's name decides, as in the official SDK. A text that
    is too long is refused, as OpenAI does, unless the prompt says `auto_truncate`: Vertex would
    leave its end out in silence.
    """
    for name, value in fields.items():
        if value is not None and name not in _KNOWN:
            raise CannotExpressError(f"An embedding of Vertex has no field {name[:64]!r}.")
    if fields.get("encoding_format") not in (None, "float", "base64"):
        raise CannotExpressError("`encoding_format` must be float or base64.")
    inputs = inputs_of(fields)
    if len(inputs) > _MOST_INPUTS:
        raise CannotExpressError(f"Vertex embeds at most {_MOST_INPUTS} texts in one call.")
    config = {"autoTruncate": fields.get("auto_truncate") is True}
    if fields.get("dimensions") is not None:
        config["outputDimensionality"] = fields["dimensions"]
    about = {ours: fields[ours] for ours in ("task_type", "title") if fields.get(ours) is not None}
    model = served.name.rpartition("/")[2]
    named = any(word in model for word in ("gemini", "maas"))
    api = served.api or (EMBED_CONTENT if named else PREDICT)
    if api == PREDICT:
        instances = [{"content": text, **about} for text in inputs]
        return "predict", {"instances": instances, "parameters": config}
    if "task_type" in about:
        about["taskType"] = about.pop("task_type")
    contents = [
        {
            "content": {"parts": [{"text": text}], "role": "user"},
            "embedContentConfig": {**config, **about},
        }
        for text in inputs
    ]
    if len(contents) == 1:
        return "embedContent", contents[0]
    if "maas" in model:
        raise CannotExpressError(f"{model} embeds one text a call.")
    return "batchEmbedContents", {"requests": contents}


def inputs_of(fields: Mapping[str, Any]) -> list[str]:
    """The texts of a prompt, in their order; raises CannotExpressError for tokens."""
    given = fields.get("input") if fields.get("input") is not None else fields.get("prompt")
    inputs = given if isinstance(given, list) else [given]
    texts = [text for text in inputs if isinstance(text, str)]
    if len(texts) < len(inputs):
        raise CannotExpressError("Vertex embeds texts, and not the tokens of another model.")
    return texts


def embedding_answer(work: Work, body: bytes) -> Answer:
    """Read the reply of any of the methods; raises ErrorReply and MalformedReplyError."""
    data = decoded(body)
    if not isinstance(data, dict):
        raise MalformedReplyError("The reply is not a JSON object.")
    if data.get("error"):
        raise error_in(data, 200)
    try:
        found, tokens, cut = _found(data)
        vectors = [_floats(each["values"]) for each in found]
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise MalformedReplyError("The reply holds no embeddings.") from error
    if len(vectors) != len(inputs_of(work.fields)):
        raise MalformedReplyError(
            "The reply holds another number of embeddings than was asked for."
        )
    plain = work.fields.get("encoding_format") == "float"
    meta = data.get("usageMetadata")
    notes = notes_of(meta if isinstance(meta, dict) else {})
    if cut:
        notes["truncated"] = str(cut)
    return Answer(
        text=None,
        body={
            "object": "list",
            "data": [
                {
                    "object": "embedding",
                    "index": place,
                    "embedding": vector.tolist() if plain else _base64(vector),
                }
                for place, vector in enumerate(vectors)
            ],
            "model": work.model,
            "usage": {"prompt_tokens": tokens or 0, "total_tokens": tokens or 0},
        },
        usage=Usage(tokens, 0),
        finish_reason="stop",
        notes=notes,
    )


def _found(data: dict[str, Any]) -> tuple[list[dict[str, Any]], int | None, int]:
    """The embeddings in their order, tokens of all inputs, and how many of them were cut."""
    if "predictions" in data:
        found = [prediction["embeddings"] for prediction in data["predictions"]]
    elif "embedding" in data:
        found = [data["embedding"]]
    else:
        found = list(data["embeddings"])
    statistics = [each.get("statistics") or {} for each in found]
    cut = sum(1 for each in statistics if each.get("truncated") is True)
    if not cut and data.get("truncated") is True:
        cut = 1
    meta = data.get("usageMetadata")
    tokens = count_of(meta.get("promptTokenCount")) if isinstance(meta, dict) else None
    if tokens is None:
        counts = [_whole(each.get("token_count", each.get("tokenCount"))) for each in statistics]
        if counts and None not in counts:
            tokens = sum(count for count in counts if count is not None)
    return found, tokens, cut


def _whole(count: Any) -> int | None:
    """`predict` writes counts as numbers with a point."""
    return count_of(int(count) if type(count) is float and count.is_integer() else count)


def _floats(values: Any) -> "array[float]":
    if type(values) is not list or not values:
        raise TypeError("no list of numbers")
    return array("f", values)


def _base64(vector: "array[float]") -> str:
    """32-bit floats, little-endian, as OpenAI sends them."""
    if sys.byteorder == "big":
        vector = array("f", vector)
        vector.byteswap()
    return b64encode(vector.tobytes()).decode()
