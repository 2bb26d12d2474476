"""Reads requests for embeddings in Google's three forms.

`predict` (https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api)
and, for newer models, `embedContent` and `batchEmbedContents` as google-genai asks for them.
"""

from typing import Any

from workers.simulator.asked import VectorsAsked
from workers.simulator.forms.gemini_request import contents_of, plain, positive
from workers.simulator.forms.json_fields import object_of
from workers.simulator.problems import invalid


def read_predict(body: bytes, model: str) -> VectorsAsked:
    """Read the body of predict, which makes embeddings; raises Problem."""
    data = object_of(body)
    instances = data.get("instances")
    if not isinstance(instances, list) or not instances:
        raise invalid("Invalid instance: the list of instances is empty.")
    texts = []
    for one in instances:
        content = one.get("content") if isinstance(one, dict) else None
        if not isinstance(content, str) or not content:
            raise invalid("The text content is empty.")
        texts.append(content)
    parameters = data.get("parameters")
    return VectorsAsked(model, tuple(texts), dimensions=_dimensions(parameters))


def read_embeds(body: bytes, model: str) -> VectorsAsked:
    """Read the body of batchEmbedContents; raises Problem."""
    requests = object_of(body).get("requests")
    if not isinstance(requests, list) or not requests:
        raise invalid("The list of requests is empty.")
    texts, extra = [], 0
    for one in requests:
        parts, more = contents_of(
            {"contents": [one.get("content") if isinstance(one, dict) else 0]}
        )
        texts.append("\n".join(parts))
        extra += more
    config = requests[0].get("embedContentConfig") or requests[0]
    return VectorsAsked(model, tuple(texts), extra, dimensions=_dimensions(config))


def read_embed(body: bytes, model: str) -> VectorsAsked:
    """Read the body of embedContent; raises Problem."""
    data = object_of(body)
    texts, extra = contents_of({"contents": [data.get("content")]})
    config = data.get("embedContentConfig") or data.get("embed_content_config") or data
    joined = "\n".join(texts)
    return VectorsAsked(model, (joined,), extra, dimensions=_dimensions(config))


def _dimensions(parameters: Any) -> int | None:
    given = plain(parameters).get("outputDimensionality")
    return positive({"outputDimensionality": given}, "outputDimensionality")
