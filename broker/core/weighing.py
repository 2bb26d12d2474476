"""How heavy a prompt is, in token units: input + factor x expected output.

Counting tokens exactly is the caller's (it needs a vocabulary of some megabytes); here is what to
count, and what to add for what is not text. How many tokens a long text has can be estimated:
see `broker.core.token_estimate`.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Any, Final

from broker.records.data_refs import FILE_PARTS, holder_of

PER_MESSAGE: Final = 4
"""Tokens that a chat message costs beside its text (role and separators, OpenAI's cookbook)."""

PER_PROMPT: Final = 3
"""Tokens that begin the answer."""

BYTES_PER_TOKEN: Final = 4
"""Of a text that is not at hand."""

PAGE_BYTES: Final = 65_536
"""Of a file that is no text, so many are about a page, which models see as a picture."""

_OUTPUT_LIMITS: Final = ("max_output_tokens", "max_completion_tokens", "max_tokens")
_IMAGE_PARTS: Final = ("image_url", "input_image", "image")
_AUDIO_PARTS: Final = ("input_audio", "audio")
_CHAT_PRIOR: Final = ((256, 180), (512, 110), (2048, 420))
_CHAT_PRIOR_BEYOND: Final = 100


@dataclass(frozen=True, slots=True)
class Equivalents:
    """Tokens that stand for what is not text."""

    image_in: int = 765
    """One picture in a prompt, whatever its size (OpenAI's high detail at 1024 x 1024)."""
    image_in_low: int = 85
    """One picture with `detail: low`."""
    audio_in: int = 600
    """One recording in a prompt (about a minute)."""
    image_out: Mapping[str, int] = field(
        default_factory=lambda: {"low": 272, "medium": 1056, "high": 4160}
    )
    """One picture made, by `quality`; `medium` for any other word."""
    output_ceiling: int = 16_384
    """A request's own maximum counts up to this: few answers are as long as they may be."""


@dataclass(frozen=True, slots=True)
class Content:
    """What there is to count of a prompt."""

    texts: tuple[str, ...]
    extra_tokens: int
    """For messages, pictures and recordings."""

    @property
    def characters(self) -> int:
        """Length of all texts together."""
        return sum(map(len, self.texts))


def content_of(fields: Mapping[str, Any], given: Equivalents) -> Content:
    """Collect the texts of a valid prompt: `prompt`, `messages` or `input`, tools and schemas.

    Of what has an unknown form the texts are taken and nothing is refused: weighing never fails.
    """
    texts: list[str] = []
    extra = PER_PROMPT
    messages = fields.get("messages")
    if isinstance(messages, list):
        for message in messages:
            if isinstance(message, Mapping):
                extra += PER_MESSAGE + _message(message, texts, given)
    for name in ("prompt", "input", "instructions"):
        extra += _part(fields.get(name), texts, given)
    for name in ("tools", "functions", "response_format"):
        described = fields.get(name)
        if described:
            texts.append(_as_json(described))
    return Content(tuple(texts), extra)


def _message(message: Mapping[str, Any], texts: list[str], given: Equivalents) -> int:
    extra = _part(message.get("content"), texts, given)
    for name in ("name", "refusal"):
        text = message.get(name)
        if isinstance(text, str):
            texts.append(text)
    for name in ("tool_calls", "function_call"):
        called = message.get(name)
        if called:
            texts.append(_as_json(called))
    return extra


def _part(part: Any, texts: list[str], given: Equivalents) -> int:
    """Take a content part, or a list of them; returns the tokens of what is not text."""
    if isinstance(part, str):
        texts.append(part)
        return 0
    if isinstance(part, list):
        return _tokens(part) + sum(_part(one, texts, given) for one in _typed(part))
    return _object(part, texts, given) if isinstance(part, Mapping) else 0


def _object(part: Mapping[str, Any], texts: list[str], given: Equivalents) -> int:
    kind = part.get("type")
    if kind in _IMAGE_PARTS:
        return given.image_in_low if _detail(part) == "low" else given.image_in
    if kind in _AUDIO_PARTS:
        return given.audio_in
    holder = holder_of(part)
    if holder is not None:
        return _referred(str(kind), holder, given)
    extra = 0
    for name in ("text", "refusal", "output", "arguments"):
        text = part.get(name)
        if isinstance(text, str):
            texts.append(text)
    if "content" in part:
        extra = PER_MESSAGE + _part_of_input(part["content"], texts, given)
    return extra


def _tokens(inputs: list[Any]) -> int:
    """Of inputs that come as tokens: one text's, or those of several."""
    lists = [one for one in inputs if isinstance(one, list)] or [inputs]
    return sum(1 for one in lists for token in one if type(token) is int)


def _referred(kind: str, holder: Mapping[str, Any], given: Equivalents) -> int:
    """What lies in a store is weighed by the size that was told, and never fetched for it."""
    size = holder.get("dataref_size")
    size = size if type(size) is int and size > 0 else 0
    told = holder.get("dataref_type")
    text = not isinstance(told, str) or told.startswith("text/") or told == "application/json"
    if kind in FILE_PARTS and not text:
        return given.image_in * ceil(size / PAGE_BYTES)
    return ceil(size / BYTES_PER_TOKEN)


def _part_of_input(content: Any, texts: list[str], given: Equivalents) -> int:
    """The content of a message inside `input`; only its own parts, so that depth is bounded."""
    if isinstance(content, str):
        texts.append(content)
        return 0
    if not isinstance(content, list):
        return 0
    return sum(
        _part(one, texts, given)
        for one in _typed(content)
        if isinstance(one, str) or "content" not in one
    )


def _typed(parts: Iterable[Any]) -> Iterator[Any]:
    return (one for one in parts if isinstance(one, str | Mapping))


def _detail(part: Mapping[str, Any]) -> object:
    image = part.get("image_url")
    return image.get("detail") if isinstance(image, Mapping) else part.get("detail")


def _as_json(described: Any) -> str:
    return json.dumps(described, ensure_ascii=False, separators=(",", ":"), default=str)


def own_maximum(fields: Mapping[str, Any]) -> int | None:
    """The most output tokens the request allows for one answer, or None when it does not say."""
    least: int | None = None
    for name in _OUTPUT_LIMITS:
        limit = fields.get(name)
        if type(limit) is int and limit > 0 and (least is None or limit < least):
            least = limit
    return least


def answers_asked(fields: Mapping[str, Any]) -> int:
    """How many answers the request wants at once (`n`)."""
    answers = fields.get("n")
    return answers if type(answers) is int and answers > 0 else 1


def expected_output(
    fields: Mapping[str, Any], kind: str, input_tokens: int, given: Equivalents
) -> int:
    """Output tokens to expect: the request's own maximum, else by kind and length of the input.

    The prior of chat is the upper quartile of the Azure conversation trace of 2023 by input length
    (up to 256 tokens 180, up to 512 110, up to 2048 420, beyond 100).
    """
    if kind == "embedding":
        return 0
    if kind == "image":
        count = answers_asked(fields)
        quality = fields.get("quality")
        by_quality = given.image_out
        known = quality if isinstance(quality, str) and quality in by_quality else "medium"
        return count * by_quality.get(known, 0)
    return answers_asked(fields) * expected_answer(own_maximum(fields), input_tokens, given)


def expected_answer(own_maximum: int | None, input_tokens: int, given: Equivalents) -> int:
    """Output tokens to expect of one answer of a chat, as `expected_output` says it."""
    if own_maximum is not None:
        return min(own_maximum, given.output_ceiling)
    for up_to, tokens in _CHAT_PRIOR:
        if input_tokens <= up_to:
            return tokens
    return _CHAT_PRIOR_BEYOND


def weigh(input_tokens: int, output_tokens: int, output_factor: float) -> int:
    """Weight in token units, at least 1. An output token costs `output_factor` input tokens."""
    return max(1, input_tokens + ceil(output_factor * output_tokens))
