"""Reads requests in Google's form, and says in Google's words what is wrong with them.

https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference. As at Google, a
field that is not known is an error; names may have capitals inside or underscores.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import orjson

from broker.core.weighing import PER_MESSAGE, PER_PROMPT
from workers.simulator.asked import (
    LONGEST_ANSWER,
    Asked,
    ChatAsked,
    CountAsked,
    PicturesAsked,
    Tool,
    VectorsAsked,
)
from workers.simulator.forms.json_fields import object_of
from workers.simulator.forms.openai_chat_request import OUTPUT_FIELD
from workers.simulator.problems import Problem, invalid

PER_FILE: Final = 258
"""Tokens of a picture in a prompt (Google's page on tokens: one tile)."""
PER_PICTURE: Final = 1_290
"""Tokens of a picture that is made (Google's price list of gemini-2.5-flash-image)."""
MOST_CANDIDATES: Final = 8
LEVELS: Final[Mapping[str, int]] = {"MINIMAL": 0, "LOW": 64, "MEDIUM": 256, "HIGH": 1_024}
"""Tokens that are thought by `thinkingLevel`."""
_OWN_BUDGET: Final = 256
"""Tokens that are thought where the budget is left to the model (-1), and the most of any."""
_FIELDS: Final = frozenset(
    {
        *("contents", "systemInstruction", "tools", "toolConfig", "safetySettings", "labels"),
        *("generationConfig", "cachedContent", "modelArmorConfig", "model", "serviceTier"),
        OUTPUT_FIELD,
    }
)
_CONFIG: Final = frozenset(
    {
        *("temperature", "topP", "topK", "candidateCount", "maxOutputTokens", "stopSequences"),
        *("presencePenalty", "frequencyPenalty", "responseMimeType", "responseSchema"),
        *("responseJsonSchema", "seed", "responseLogprobs", "logprobs", "audioTimestamp"),
        *("thinkingConfig", "responseModalities", "mediaResolution", "speechConfig"),
        *("routingConfig", "modelConfig", "imageConfig", "modelSelectionConfig"),
    }
)
_SIDES: Final[Mapping[str, tuple[int, int]]] = {
    "1:1": (1_024, 1_024),
    "2:3": (832, 1_248),
    "3:2": (1_248, 832),
    "3:4": (864, 1_184),
    "4:3": (1_184, 864),
    "4:5": (896, 1_152),
    "5:4": (1_152, 896),
    "9:16": (768, 1_344),
    "16:9": (1_344, 768),
    "21:9": (1_536, 672),
}
_LETTER: Final = re.compile(r"_([a-z])")


def read_content(body: bytes, model: str, *, streamed: bool) -> Asked:
    """Read the body of generateContent; raises Problem."""
    data = _fields(object_of(body), _FIELDS, "")
    config = _fields(data.get("generationConfig") or {}, _CONFIG, "generation_config")
    texts, extra = _contents(data)
    modalities = config.get("responseModalities") or ()
    if any(isinstance(one, str) and one.upper() == "IMAGE" for one in modalities):
        image = config.get("imageConfig")
        ratio = image.get("aspectRatio", "1:1") if isinstance(image, dict) else "1:1"
        if ratio not in _SIDES:
            raise invalid(f"Invalid aspect ratio; supported are {', '.join(_SIDES)}.")
        width, height = _SIDES[ratio]
        return PicturesAsked(
            model, texts, extra, 1, width, height, tokens_each=PER_PICTURE, stream=streamed
        )
    for name in ("tools", "toolConfig"):
        if data.get(name):
            texts = (*texts, orjson.dumps(data[name]).decode())
    thinking = config.get("thinkingConfig")
    thinking = thinking if isinstance(thinking, dict) else {}
    return ChatAsked(
        model=model,
        texts=texts,
        extra_tokens=extra,
        max_tokens=_positive(config, "maxOutputTokens"),
        own_tokens=_positive(data, OUTPUT_FIELD, LONGEST_ANSWER),
        choices=_positive(config, "candidateCount", MOST_CANDIDATES) or 1,
        stream=streamed,
        tool=_tool(data),
        schema=_schema(config),
        thoughts=_thoughts(thinking),
        show_thoughts=thinking.get("includeThoughts") is True,
    )


def read_count(body: bytes, model: str) -> CountAsked:
    """Read the body of countTokens; raises Problem."""
    texts, extra = _contents(object_of(body))
    return CountAsked(model, texts, extra)


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
        parts, more = _contents({"contents": [one.get("content") if isinstance(one, dict) else 0]})
        texts.append("\n".join(parts))
        extra += more
    config = requests[0].get("embedContentConfig") or requests[0]
    return VectorsAsked(model, tuple(texts), extra, dimensions=_dimensions(config))


def read_embed(body: bytes, model: str) -> VectorsAsked:
    """Read the body of embedContent; raises Problem."""
    data = object_of(body)
    texts, extra = _contents({"contents": [data.get("content")]})
    config = data.get("embedContentConfig") or data
    joined = "\n".join(texts)
    return VectorsAsked(model, (joined,), extra, dimensions=_dimensions(config))


def _contents(data: Mapping[str, Any]) -> tuple[tuple[str, ...], int]:
    contents = data.get("contents")
    if isinstance(contents, dict):
        contents = [contents]
    if not isinstance(contents, list) or not contents:
        raise invalid("Unable to submit request because at least one contents field is required.")
    texts: list[str] = []
    extra = PER_PROMPT
    system = data.get("systemInstruction")
    for content in (*contents, *((system,) if system else ())):
        parts = content.get("parts") if isinstance(content, dict) else None
        if isinstance(parts, dict):
            parts = [parts]
        if not isinstance(parts, list) or not parts:
            raise invalid("Unable to submit request because it must have a parts field.")
        if content.get("role") not in (None, "user", "model", "system", "function"):
            raise invalid("Please use a valid role: user, model.")
        extra += PER_MESSAGE + sum(_part(part, texts) for part in parts)
    return tuple(texts), extra


def _part(part: Any, texts: list[str]) -> int:
    if not isinstance(part, dict) or not part:
        raise invalid("Unable to submit request because a part is empty: it must have one field.")
    if isinstance(part.get("text"), str):
        texts.append(part["text"])
        return 0
    for name in ("functionCall", "functionResponse", "function_call", "function_response"):
        if name in part:
            texts.append(orjson.dumps(part[name]).decode())
            return 0
    return PER_FILE


def _fields(given: Any, known: frozenset[str], where: str) -> dict[str, Any]:
    """The fields by their names without underscores; raises Problem for one that is not known."""
    if not isinstance(given, dict):
        raise invalid(f"Invalid value at '{where}'.")
    found = {}
    for name, value in given.items():
        plain = name if name in known else _LETTER.sub(lambda at: at[1].upper(), name)
        if plain not in known:
            at = f" at '{where}'" if where else ""
            raise invalid(
                f'Invalid JSON payload received. Unknown name "{name[:64]}"{at}: Cannot find field.'
            )
        found[plain] = value
    return found


def _tool(data: Mapping[str, Any]) -> Tool | None:
    config = data.get("toolConfig")
    calling = config.get("functionCallingConfig") if isinstance(config, dict) else None
    if not isinstance(calling, dict) or calling.get("mode") != "ANY":
        return None
    allowed = calling.get("allowedFunctionNames")
    for tool in data.get("tools") or ():
        for function in (isinstance(tool, dict) and tool.get("functionDeclarations")) or ():
            name = function.get("name")
            if isinstance(name, str) and (not allowed or name in allowed):
                schema = function.get("parameters") or function.get("parametersJsonSchema")
                return Tool(name, schema if isinstance(schema, dict) else {})
    raise invalid("Function calling mode ANY needs a function declaration that is allowed.")


def _schema(config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    if config.get("responseMimeType") != "application/json":
        return None
    schema = config.get("responseJsonSchema") or config.get("responseSchema")
    return schema if isinstance(schema, dict) else {}


def _thoughts(thinking: Mapping[str, Any]) -> int:
    level, budget = thinking.get("thinkingLevel"), thinking.get("thinkingBudget")
    if isinstance(level, str):
        return LEVELS.get(level.upper(), _OWN_BUDGET)
    if type(budget) is int:
        return _OWN_BUDGET if budget < 0 else min(budget, _OWN_BUDGET)
    return _OWN_BUDGET if thinking.get("includeThoughts") is True else 0


def _positive(data: Mapping[str, Any], name: str, most: int = 2**31) -> int | None:
    value = data.get(name)
    if value is None:
        return None
    if type(value) is not int or not 1 <= value <= most:
        raise _out_of_range(name, most)
    return value


def _dimensions(parameters: Any) -> int | None:
    given = parameters.get("outputDimensionality") if isinstance(parameters, dict) else None
    return _positive({"outputDimensionality": given}, "outputDimensionality")


def _out_of_range(name: str, most: int) -> Problem:
    return invalid(
        f"Unable to submit request because it has a {name} value out of the supported range: it "
        f"must be a whole number from 1 (inclusive) to {most + 1} (exclusive)."
    )
