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
    texts, extra = contents_of(data)
    modalities = config.get("responseModalities") or ()
    if any(isinstance(one, str) and one.upper() == "IMAGE" for one in modalities):
        ratio = plain(config.get("imageConfig")).get("aspectRatio") or "1:1"
        if ratio not in _SIDES:
            raise invalid(f"Invalid aspect ratio; supported are {', '.join(_SIDES)}.")
        width, height = _SIDES[ratio]
        return PicturesAsked(
            model, texts, extra, 1, width, height, tokens_each=PER_PICTURE, stream=streamed
        )
    for name in ("tools", "toolConfig"):
        if data.get(name):
            texts = (*texts, orjson.dumps(data[name]).decode())
    thinking = plain(config.get("thinkingConfig"))
    return ChatAsked(
        model=model,
        texts=texts,
        extra_tokens=extra,
        max_tokens=positive(config, "maxOutputTokens"),
        own_tokens=positive(data, OUTPUT_FIELD, LONGEST_ANSWER),
        choices=positive(config, "candidateCount", MOST_CANDIDATES) or 1,
        stream=streamed,
        tool=_tool(data),
        schema=_schema(config),
        thoughts=_thoughts(thinking),
        show_thoughts=thinking.get("includeThoughts") is True,
    )


def read_count(body: bytes, model: str) -> CountAsked:
    """Read the body of countTokens; raises Problem."""
    texts, extra = contents_of(object_of(body))
    return CountAsked(model, texts, extra)


def contents_of(data: Mapping[str, Any]) -> tuple[tuple[str, ...], int]:
    """The texts of `contents` and of the system's instruction, and the tokens of what is none."""
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
        plain = name if name in known else _capitals(name)
        if plain not in known:
            at = f" at '{where}'" if where else ""
            raise invalid(
                f'Invalid JSON payload received. Unknown name "{name[:64]}"{at}: Cannot find field.'
            )
        found[plain] = value
    return found


def plain(given: Any) -> Mapping[str, Any]:
    """An object inside, whose fields need not be known; empty where there is none."""
    if not isinstance(given, dict):
        return {}
    return {_capitals(name): value for name, value in given.items()}


def _capitals(name: str) -> str:
    return _LETTER.sub(lambda at: at[1].upper(), name)


def _tool(data: Mapping[str, Any]) -> Tool | None:
    calling = plain(plain(data.get("toolConfig")).get("functionCallingConfig"))
    if calling.get("mode") != "ANY":
        return None
    allowed = calling.get("allowedFunctionNames")
    for tool in data.get("tools") or ():
        for given in plain(tool).get("functionDeclarations") or ():
            function = plain(given)
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


def positive(data: Mapping[str, Any], name: str, most: int = 2**31) -> int | None:
    """A whole number from 1 to `most`, None where it is missing; raises Problem."""
    value = data.get(name)
    if value is None:
        return None
    if type(value) is not int or not 1 <= value <= most:
        raise _out_of_range(name, most)
    return value


def _out_of_range(name: str, most: int) -> Problem:
    return invalid(
        f"Unable to submit request because it has a {name} value out of the supported range: it "
        f"must be a whole number from 1 (inclusive) to {most + 1} (exclusive)."
    )
