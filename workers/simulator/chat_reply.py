"""A chat completion in OpenAI's form, whole or as the events of a stream. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

FINGERPRINT: Final = "fp_simulator"
DONE: Final = b"data: [DONE]\n\n"
FILTERED: Final = "content_filter"


@dataclass(frozen=True, slots=True)
class Completion:
    """What is answered. `choices` holds each choice's text as its tokens."""

    id: str
    created: int
    model: str
    input_tokens: int
    choices: Sequence[Sequence[str]] = field(repr=False)
    finish_reason: str

    @property
    def output_tokens(self) -> int:
        """Tokens of all choices together."""
        return sum(map(len, self.choices))

    @property
    def longest(self) -> int:
        """Tokens of the longest choice: they are all written at the same time."""
        return max(map(len, self.choices))


def whole_body(completion: Completion) -> bytes:
    """The body of a reply that comes whole."""
    choices: list[dict[str, Any]] = [
        {
            "index": index,
            "message": {
                "role": "assistant",
                "content": "".join(tokens),
                "refusal": None,
                "annotations": [],
            },
            "logprobs": None,
            "finish_reason": completion.finish_reason,
        }
        for index, tokens in enumerate(completion.choices)
    ]
    head = _head(completion, "chat.completion")
    return orjson.dumps({**head, "choices": choices, "usage": _usage(completion)})


class Events:
    """The events of a streamed completion. `include_usage` ends it with the usage."""

    __slots__ = ("_completion", "_include_usage", "_prefix")

    def __init__(self, completion: Completion, *, include_usage: bool) -> None:
        self._completion = completion
        self._include_usage = include_usage
        # All that is the same in every event is written once.
        head = orjson.dumps(_head(completion, "chat.completion.chunk"))
        self._prefix = b"data: " + head[:-1]

    def opening(self) -> bytes:
        """The roles, which come with the first token."""
        delta = {"role": "assistant", "content": "", "refusal": None}
        return b"".join(
            self._event([_choice(index, delta)]) for index in range(len(self._completion.choices))
        )

    def tokens(self, begin: int, end: int) -> bytes:
        """One event for each choice that has tokens between these places."""
        return b"".join(
            self._event([_choice(index, {"content": "".join(tokens[begin:end])})])
            for index, tokens in enumerate(self._completion.choices)
            if begin < len(tokens)
        )

    def closing(self) -> bytes:
        """The finish reasons, the usage if it is wanted, and the end."""
        reason = self._completion.finish_reason
        parts = [
            self._event([_choice(index, {}, reason)])
            for index in range(len(self._completion.choices))
        ]
        if self._include_usage:
            parts.append(self._event([], _usage(self._completion)))
        return b"".join((*parts, DONE))

    def broken(self) -> bytes:
        """An event that is not JSON."""
        return self._prefix + b',"choices":[{"index":0,"delta":{"content":"\n\n'

    def _event(self, choices: list[Any], usage: Any = None) -> bytes:
        tail: dict[str, Any] = {"choices": choices}
        if self._include_usage:
            tail["usage"] = usage
        return self._prefix + b"," + orjson.dumps(tail)[1:] + b"\n\n"


def error_event(body: bytes) -> bytes:
    """An error in the middle of a stream; `body` is an error's body."""
    return b"data: " + body + b"\n\n"


def _head(completion: Completion, kind: str) -> dict[str, Any]:
    return {
        "id": completion.id,
        "object": kind,
        "created": completion.created,
        "model": completion.model,
        "service_tier": "default",
        "system_fingerprint": FINGERPRINT,
    }


def _choice(index: int, delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}


def _usage(completion: Completion) -> dict[str, Any]:
    given, made = completion.input_tokens, completion.output_tokens
    return {
        "prompt_tokens": given,
        "completion_tokens": made,
        "total_tokens": given + made,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }
