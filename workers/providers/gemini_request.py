"""A chat prompt in Gemini's words: the body of `generateContent`.

Vertex refuses a body with fields that it does not know, so nothing is passed on unseen: a field is
mapped, dropped because the answer is the same without it, or it cannot be expressed.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from broker.settings.providers import ServedModel
from workers.providers.chat_form import chat_fields, in_responses_form, messages_of
from workers.providers.dialect import CannotExpressError
from workers.providers.gemini_contents import conversation_of, list_of, text_of
from workers.providers.gemini_tools import format_of, tools_of

BROKERS: Final = frozenset(
    {
        *("id", "tenant", "kind", "model", "priority", "deadline", "timeout_s", "provider"),
        *("providers", "regions", "max_cost_usd"),
        *("metadata", "stream", "stream_options", "prompt", "input", "messages", "instructions"),
    }
)
"""Fields that mean something to the broker, or that are written anew."""

HARMLESS: Final = frozenset(
    {
        *("user", "store", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"),
        *("prediction", "parallel_tool_calls", "simulated_output_tokens"),
    }
)
"""Fields without which the answer is the same: who asks, what the provider keeps, what could make
it quicker, how long a simulated answer is. `parallel_tool_calls` is looked at with the tools."""

_AS_IT_IS: Final[Mapping[str, str]] = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
    "logprobs": "responseLogprobs",
    "thinking_config": "thinkingConfig",
    "thinkingConfig": "thinkingConfig",
}
"""Fields with another name in `generationConfig`, and the same meaning."""

_BESIDE: Final[Mapping[str, str]] = {
    "safety_settings": "safetySettings",
    "safetySettings": "safetySettings",
    "cached_content": "cachedContent",
    "labels": "labels",
}
"""Google's own fields, which stand beside `generationConfig`."""

_LIMITS: Final = ("max_output_tokens", "max_completion_tokens", "max_tokens")

_SAME_ANYWAY: Final[Mapping[str, frozenset[Any]]] = {
    "verbosity": frozenset({"medium"}),
    "service_tier": frozenset({"auto", "default"}),
}
"""Values that ask for what happens anyway."""

_MOST_CANDIDATES: Final = 8
_MOST_STOPS: Final = 5
_SEEDS: Final = 2**31
_MOST_TOP_LOGPROBS: Final = 20

_LEVELS: Final = frozenset({"minimal", "low", "medium", "high", "xhigh"})
_BUDGETS: Final[Mapping[str, int]] = {
    "none": 0,
    "minimal": 1_024,
    "low": 1_024,
    "medium": 8_192,
    "high": 24_576,
    "xhigh": 24_576,
}
"""Tokens of thought for Gemini 2.5, which knows no levels; as in Google's own OpenAI form."""

_GENERATION: Final = re.compile(r"gemini-(\d+)(?:\.(\d+))?")
_BY_LEVEL_FROM: Final = 3


def chat_body(fields: Mapping[str, Any], served: ServedModel) -> dict[str, Any]:
    """The body for a chat prompt; raises CannotExpressError."""
    messages = messages_of(fields)
    if in_responses_form(fields):
        fields = chat_fields(fields)
    body = conversation_of(messages, signed=(_generation(served.name) or 0) >= _BY_LEVEL_FROM)
    body |= tools_of(fields)
    config: dict[str, Any] = {}
    for name, value in fields.items():
        if value is None or name in _ELSEWHERE:
            continue
        if name in _AS_IT_IS:
            config[_AS_IT_IS[name]] = value
        elif name in _TRANSLATED:
            config |= _TRANSLATED[name](fields, served)
        elif name in _BESIDE:
            body[_BESIDE[name]] = value
        elif name == "service_tier" and value in ("flex", "priority"):
            body["serviceTier"] = value
        else:
            _asks_for_nothing_else(name, value)
    limit = next((fields[name] for name in _LIMITS if fields.get(name) is not None), None)
    if limit is not None:
        config["maxOutputTokens"] = limit
    if config:
        body["generationConfig"] = config
    return body


def _asks_for_nothing_else(name: str, value: Any) -> None:
    if not isinstance(value, str) or value not in _SAME_ANYWAY.get(name, ()):
        raise CannotExpressError(f"Gemini has no word for the field {name[:64]!r}.")


def _generation(model: str) -> int | None:
    found = _GENERATION.search(model)
    return None if found is None else int(found.group(1))


def _candidates(fields: Mapping[str, Any], served: ServedModel) -> dict[str, Any]:
    del served
    wanted = fields["n"]
    if wanted == 1:
        return {}
    if fields.get("stream"):
        raise CannotExpressError("Gemini streams one answer, and `n` asks for more.")
    if type(wanted) is not int or wanted > _MOST_CANDIDATES:
        raise CannotExpressError(f"Gemini makes at most {_MOST_CANDIDATES} answers at once.")
    return {"candidateCount": wanted}


def _stops(fields: Mapping[str, Any], served: ServedModel) -> dict[str, Any]:
    del served
    given = fields["stop"]
    stops = [given] if isinstance(given, str) else list_of(given, "`stop`")
    if len(stops) > _MOST_STOPS:
        raise CannotExpressError(f"Gemini stops at no more than {_MOST_STOPS} texts.")
    return {"stopSequences": [text_of(stop, "`stop`") for stop in stops]} if stops else {}


def _seed(fields: Mapping[str, Any], served: ServedModel) -> dict[str, Any]:
    del served
    seed = fields["seed"]
    # Google's has 32 bits, OpenAI's 64; the same seed is still the same each time.
    fits = type(seed) is not int or -_SEEDS <= seed < _SEEDS
    return {"seed": seed if fits else seed % _SEEDS}


def _top_logprobs(fields: Mapping[str, Any], served: ServedModel) -> dict[str, Any]:
    del served
    wanted = fields["top_logprobs"]
    if type(wanted) is not int or not 0 <= wanted <= _MOST_TOP_LOGPROBS:
        raise CannotExpressError(f"`top_logprobs` must be from 0 to {_MOST_TOP_LOGPROBS}.")
    return {"logprobs": wanted} if wanted else {}


def _thinking(fields: Mapping[str, Any], served: ServedModel) -> dict[str, Any]:
    effort = text_of(fields["reasoning_effort"], "`reasoning_effort`")
    generation = _generation(served.name)
    if generation is not None and generation < _BY_LEVEL_FROM:
        budget = _BUDGETS.get(effort)
        if budget is None or (budget == 0 and "pro" in served.name):
            raise CannotExpressError(f"{served.name} cannot be asked for this `reasoning_effort`.")
        return {"thinkingConfig": {"thinkingBudget": budget}}
    if effort not in _LEVELS:
        raise CannotExpressError(f"{served.name} cannot be asked for this `reasoning_effort`.")
    return {"thinkingConfig": {"thinkingLevel": effort.upper()}}


def _format(fields: Mapping[str, Any], served: ServedModel) -> dict[str, Any]:
    del served
    return format_of(fields["response_format"])


def _modalities(fields: Mapping[str, Any], served: ServedModel) -> dict[str, Any]:
    del served
    wanted = [
        text_of(each, "`modalities`") for each in list_of(fields["modalities"], "`modalities`")
    ]
    if wanted == ["text"]:
        return {}
    if not wanted or not set(wanted) <= {"text", "image"}:
        raise CannotExpressError("Gemini answers a chat with text and pictures only.")
    return {"responseModalities": [each.upper() for each in wanted]}


def _nothing_biased(fields: Mapping[str, Any], served: ServedModel) -> dict[str, Any]:
    del served
    if fields["logit_bias"]:
        raise CannotExpressError("Gemini has no word for the field 'logit_bias'.")
    return {}


_TRANSLATED: Final[Mapping[str, Callable[[Mapping[str, Any], ServedModel], dict[str, Any]]]] = {
    "n": _candidates,
    "seed": _seed,
    "stop": _stops,
    "top_logprobs": _top_logprobs,
    "reasoning_effort": _thinking,
    "response_format": _format,
    "modalities": _modalities,
    "logit_bias": _nothing_biased,
}

_ELSEWHERE: Final = BROKERS | HARMLESS | {"tools", "tool_choice", *_LIMITS}
