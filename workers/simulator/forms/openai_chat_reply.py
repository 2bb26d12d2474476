"""A chat completion in OpenAI's form, whole or as the events of a stream. Pure."""

from collections.abc import Sequence
from typing import Any, Final

import orjson

from workers.simulator.forms.openai_errors import error_object
from workers.simulator.made import Completion
from workers.simulator.problems import Problem

FINGERPRINT: Final = "fp_simulator"
DONE: Final = b"data: [DONE]\n\n"


def whole_chat(completion: Completion) -> dict[str, Any]:
    """A reply that comes whole."""
    choices: list[dict[str, Any]] = [
        {
            "index": index,
            "message": _message(completion, index, tokens),
            "logprobs": None,
            "finish_reason": completion.finish_reason,
        }
        for index, tokens in enumerate(completion.choices)
    ]
    head = _head(completion, "chat.completion")
    return {**head, "choices": choices, "usage": usage_of(completion)}


def usage_of(completion: Completion) -> dict[str, Any]:
    """Tokens as OpenAI counts them: what was thought is part of the completion."""
    given, made = completion.input_tokens, completion.output_tokens
    return {
        "prompt_tokens": given,
        "completion_tokens": made,
        "total_tokens": given + made,
        "prompt_tokens_details": {"cached_tokens": completion.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": completion.thought_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


class ChatEvents:
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
        tool = self._completion.tool
        return b"".join(
            self._event(
                [
                    self._choice(
                        index,
                        {"role": "assistant", "content": "", "refusal": None}
                        if tool is None
                        else {
                            "role": "assistant",
                            "content": None,
                            "tool_calls": [{"index": 0, **_call(self._completion, index, "")}],
                        },
                    )
                ]
            )
            for index in range(len(self._completion.choices))
        )

    def tokens(self, begin: int, end: int) -> bytes:
        """One event for each choice that has tokens between these places."""
        tool = self._completion.tool
        return b"".join(
            self._event([self._choice(index, _delta(tool, "".join(tokens[begin:end])))])
            for index, tokens in enumerate(self._completion.choices)
            if begin < len(tokens)
        )

    def closing(self) -> bytes:
        """The finish reasons, the usage if it is wanted, and the end."""
        reason = self._completion.finish_reason
        parts = [
            self._event([self._choice(index, {}, reason)])
            for index in range(len(self._completion.choices))
        ]
        if self._include_usage:
            parts.append(self._event([], usage_of(self._completion)))
        return b"".join((*parts, DONE))

    def broken(self) -> bytes:
        """An event that is not JSON."""
        return self._prefix + b',"choices":[{"index":0,"delta":{"content":"\n\n'

    def error(self, problem: Problem) -> bytes:
        """An error instead of the next event."""
        return b"data: " + orjson.dumps({"error": error_object(problem)}) + b"\n\n"

    def _choice(
        self, index: int, delta: dict[str, Any], reason: str | None = None
    ) -> dict[str, Any]:
        """A choice of a chunk; other vendors have more to say of it."""
        return {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}

    def _event(self, choices: list[Any], usage: Any = None) -> bytes:
        tail: dict[str, Any] = {"choices": choices}
        if self._include_usage:
            tail["usage"] = usage
        return self._prefix + b"," + orjson.dumps(tail)[1:] + b"\n\n"


def _head(completion: Completion, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{completion.id}",
        "object": kind,
        "created": completion.created,
        "model": completion.model,
        "service_tier": "default",
        "system_fingerprint": FINGERPRINT,
    }


def _message(completion: Completion, index: int, tokens: Sequence[str]) -> dict[str, Any]:
    text = "".join(tokens)
    message: dict[str, Any] = {
        "role": "assistant",
        "content": text if completion.tool is None else None,
        "refusal": None,
        "annotations": [],
    }
    if completion.tool is not None:
        message["tool_calls"] = [_call(completion, index, text)]
    return message


def _call(completion: Completion, index: int, arguments: str) -> dict[str, Any]:
    return {
        "id": f"call_{completion.id}{index:02d}",
        "type": "function",
        "function": {"name": completion.tool, "arguments": arguments},
    }


def _delta(tool: str | None, text: str) -> dict[str, Any]:
    if tool is None:
        return {"content": text}
    return {"tool_calls": [{"index": 0, "function": {"arguments": text}}]}
