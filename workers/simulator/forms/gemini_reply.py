"""Answers in Google's form: candidates whole or streamed, embeddings, counts. Pure.

https://cloud.google.com/vertex-ai/generative-ai/docs/reference/rest/v1/GenerateContentResponse. A
stream is server-sent events with `alt=sse` and else a JSON array; neither has an end mark: it is
over when every candidate has its finish reason.
"""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from workers.simulator.forms.gemini_errors import error_object
from workers.simulator.made import (
    FILTERED,
    LENGTH,
    STOP,
    TOOL,
    Completion,
    Count,
    Pictures,
    Vectors,
)
from workers.simulator.problems import Problem

_REASONS: Final[Mapping[str, str]] = {
    STOP: "STOP",
    TOOL: "STOP",
    LENGTH: "MAX_TOKENS",
    FILTERED: "SAFETY",
}
_BLOCKED: Final = [
    {
        "category": "HARM_CATEGORY_DANGEROUS_CONTENT",
        "probability": "HIGH",
        "probabilityScore": 0.97,
        "severity": "HARM_SEVERITY_HIGH",
        "severityScore": 0.9,
        "blocked": True,
    }
]


def whole_content(made: Completion | Pictures) -> dict[str, Any]:
    """A reply that comes whole."""
    if isinstance(made, Pictures):
        parts = [_picture(one) for one in made.pictures]
        candidates = [_candidate(0, parts, "STOP")]
    else:
        candidates = [
            _candidate(index, _parts(made, index), _REASONS[made.finish_reason])
            for index in range(len(made.choices))
        ]
    return {"candidates": candidates, "usageMetadata": usage_of(made), **_tail(made)}


def usage_of(made: Completion | Pictures) -> dict[str, Any]:
    """Tokens as Google counts them: what was thought is not part of the candidates."""
    thoughts = made.thought_tokens if isinstance(made, Completion) else 0
    cached = made.cached_tokens if isinstance(made, Completion) else 0
    shown = made.output_tokens - thoughts
    kind = "IMAGE" if isinstance(made, Pictures) else "TEXT"
    usage: dict[str, Any] = {
        "promptTokenCount": made.input_tokens,
        "candidatesTokenCount": shown,
        "totalTokenCount": made.input_tokens + made.output_tokens,
        "trafficType": "ON_DEMAND",
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": made.input_tokens}],
        "candidatesTokensDetails": [{"modality": kind, "tokenCount": shown}],
    }
    if thoughts:
        usage["thoughtsTokenCount"] = thoughts
    if cached:
        usage["cachedContentTokenCount"] = cached
        usage["cacheTokensDetails"] = [{"modality": "TEXT", "tokenCount": cached}]
    return usage


def predicted(made: Vectors) -> dict[str, Any]:
    """The reply to predict."""
    return {
        "predictions": [
            {
                "embeddings": {
                    "values": list(vector),
                    "statistics": {"truncated": False, "token_count": tokens},
                }
            }
            for vector, tokens in zip(made.vectors, made.counts, strict=True)
        ],
        "metadata": {"billableCharacterCount": 4 * made.input_tokens},
    }


def embedded(made: Vectors, *, several: bool) -> dict[str, Any]:
    """The reply to embedContent, or to batchEmbedContents."""
    vectors = [{"values": list(vector)} for vector in made.vectors]
    usage = {
        "promptTokenCount": made.input_tokens,
        "totalTokenCount": made.input_tokens,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": made.input_tokens}],
    }
    if several:
        return {"embeddings": vectors, "usageMetadata": usage}
    return {"embedding": vectors[0], "usageMetadata": usage, "truncated": False}


def counted(made: Count) -> dict[str, Any]:
    """The reply to countTokens."""
    return {
        "totalTokens": made.input_tokens,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": made.input_tokens}],
    }


class ContentEvents:
    """The chunks of a streamed answer. `array`: elements of a JSON array, not events."""

    def __init__(self, made: Completion | Pictures, *, array: bool) -> None:
        self._made = made
        self._array = array
        self._begun = False
        self._tail = _tail(made)

    def opening(self) -> bytes:
        """What was thought, where it is shown."""
        if isinstance(self._made, Completion) and self._made.thoughts:
            return self._chunk([_candidate(0, [_thought(self._made)])])
        return b""

    def tokens(self, begin: int, end: int) -> bytes:
        """One chunk for each candidate with tokens between these places; calls come at the end."""
        made = self._made
        if isinstance(made, Pictures):
            return b"".join(self._chunk([_candidate(0, [_picture(one)])]) for one in made.pictures)
        if made.tool is not None:
            return b""
        return b"".join(
            self._chunk([_candidate(index, [{"text": "".join(tokens[begin:end])}])])
            for index, tokens in enumerate(made.choices)
            if begin < len(tokens)
        )

    def closing(self) -> bytes:
        """The finish reasons, and the usage of all."""
        made = self._made
        if isinstance(made, Pictures):
            ended = [_candidate(0, [{"text": ""}], "STOP")]
        else:
            reason = _REASONS[made.finish_reason]
            called = made.tool is not None and made.finish_reason == TOOL
            ended = [
                _candidate(index, [_call(made, index)] if called else [{"text": ""}], reason)
                for index in range(len(made.choices))
            ]
        data = self._chunk(ended, usage_of(made))
        return data + b"]\n" if self._array else data

    def broken(self) -> bytes:
        """A chunk that is not JSON."""
        return self._written(b'{"candidates": [{"content": {"parts": [{"text": "')

    def error(self, problem: Problem) -> bytes:
        """An error instead of the next chunk."""
        data = self._written(orjson.dumps({"error": error_object(problem)}))
        return data + b"]\n" if self._array else data

    def _chunk(self, candidates: list[Any], usage: Mapping[str, Any] | None = None) -> bytes:
        counted = usage or {"trafficType": "ON_DEMAND"}
        return self._written(
            orjson.dumps({"candidates": candidates, "usageMetadata": counted, **self._tail})
        )

    def _written(self, chunk: bytes) -> bytes:
        if not self._array:
            return b"data: " + chunk + b"\r\n\r\n"
        before = b",\r\n" if self._begun else b"["
        self._begun = True
        return before + chunk


def _candidate(index: int, parts: list[Any], reason: str | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if reason != _REASONS[FILTERED]:
        found["content"] = {"role": "model", "parts": parts}
    if reason is not None:
        found["finishReason"] = reason
    if reason == _REASONS[FILTERED]:
        found["safetyRatings"] = _BLOCKED
    if index:
        found["index"] = index
    return found


def _parts(made: Completion, index: int) -> list[Any]:
    first = [_thought(made)] if made.thoughts and not index else []
    if made.tool is not None:
        return [*first, *([_call(made, index)] if made.finish_reason == TOOL else ())]
    return [*first, {"text": "".join(made.choices[index])}]


def _call(made: Completion, index: int) -> dict[str, Any]:
    arguments = orjson.loads("".join(made.choices[index]))
    return {"functionCall": {"name": made.tool, "args": arguments}}


def _thought(made: Completion) -> dict[str, Any]:
    return {"text": made.thoughts, "thought": True}


def _picture(picture: bytes) -> dict[str, Any]:
    data = base64.b64encode(picture).decode()
    return {"inlineData": {"mimeType": "image/png", "data": data}}


def _tail(made: Completion | Pictures) -> dict[str, Any]:
    created = datetime.fromtimestamp(made.created, UTC)
    return {
        "modelVersion": made.model,
        "createTime": created.isoformat().replace("+00:00", "Z"),
        "responseId": made.id,
    }
