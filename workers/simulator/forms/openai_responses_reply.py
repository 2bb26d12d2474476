"""An answer in the form of OpenAI's `/responses`, whole or as its stream of events. Pure.

A stream has no `[DONE]`: it is over with `response.completed`, `.incomplete` or `.failed`.
"""

from typing import Any, Final

import orjson

from workers.simulator.asked import ChatAsked
from workers.simulator.forms.openai_errors import error_object
from workers.simulator.made import FILTERED, LENGTH, Completion
from workers.simulator.problems import Problem

_ECHOED: Final = ("instructions", "max_output_tokens", "metadata", "temperature", "top_p", "user")
_REASONS: Final = {LENGTH: "max_output_tokens", FILTERED: "content_filter"}


def whole_response(asked: ChatAsked, made: Completion) -> dict[str, Any]:
    """A reply that comes whole."""
    reason = _REASONS.get(made.finish_reason)
    return {
        **_begun(asked, made),
        "status": "completed" if reason is None else "incomplete",
        "completed_at": None if reason else made.created,
        "incomplete_details": None if reason is None else {"reason": reason},
        "output": [*_reasoning(made), _item(made, _text(made))],
        "usage": {
            "input_tokens": made.input_tokens,
            "input_tokens_details": {"cached_tokens": made.cached_tokens, "cache_write_tokens": 0},
            "output_tokens": made.output_tokens,
            "output_tokens_details": {"reasoning_tokens": made.thought_tokens},
            "total_tokens": made.input_tokens + made.output_tokens,
        },
    }


class ResponseEvents:
    """The events of a streamed response, numbered from 0."""

    def __init__(self, asked: ChatAsked, made: Completion) -> None:
        self._asked = asked
        self._made = made
        self._number = 0
        self._place = len(_reasoning(made))
        self._id = _item(made, "")["id"]
        self._called = made.tool is not None

    def opening(self) -> bytes:
        """The response as it begins, and its first output."""
        begun = _begun(self._asked, self._made)
        parts = [
            self._event("response.created", response=begun),
            self._event("response.in_progress", response=begun),
        ]
        parts += [
            self._event(f"response.output_item.{what}", output_index=0, item=item)
            for item in _reasoning(self._made)
            for what in ("added", "done")
        ]
        item = _item(self._made, "", status="in_progress")
        if not self._called:
            item["content"] = []
        parts.append(self._event("response.output_item.added", output_index=self._place, item=item))
        if not self._called:
            parts.append(self._of_text("response.content_part.added", part=_part("")))
        return b"".join(parts)

    def tokens(self, begin: int, end: int) -> bytes:
        """A piece of the text, or of the arguments of a call."""
        delta = "".join(self._made.choices[0][begin:end])
        if self._called:
            return self._of_item("response.function_call_arguments.delta", delta=delta)
        return self._of_text("response.output_text.delta", delta=delta, logprobs=[])

    def closing(self) -> bytes:
        """All that was open ends, then the response."""
        text = _text(self._made)
        if self._called:
            ended = [
                self._of_item(
                    "response.function_call_arguments.done", name=self._made.tool, arguments=text
                )
            ]
        else:
            ended = [
                self._of_text("response.output_text.done", text=text, logprobs=[]),
                self._of_text("response.content_part.done", part=_part(text)),
            ]
        whole = whole_response(self._asked, self._made)
        item = _item(self._made, text)
        ended += [
            self._event("response.output_item.done", output_index=self._place, item=item),
            self._event(f"response.{whole['status']}", response=whole),
        ]
        return b"".join(ended)

    def broken(self) -> bytes:
        """An event that is not JSON."""
        return b'event: response.output_text.delta\ndata: {"type":"response.output_text\n\n'

    def error(self, problem: Problem) -> bytes:
        """An error instead of the next event."""
        given = error_object(problem)
        return self._event(
            "error", code=given["code"], message=given["message"], param=given["param"]
        )

    def _of_item(self, kind: str, **fields: Any) -> bytes:
        return self._event(kind, item_id=self._id, output_index=self._place, **fields)

    def _of_text(self, kind: str, **fields: Any) -> bytes:
        return self._of_item(kind, content_index=0, **fields)

    def _event(self, kind: str, **fields: Any) -> bytes:
        body = {"type": kind, "sequence_number": self._number, **fields}
        self._number += 1
        return f"event: {kind}\ndata: ".encode() + orjson.dumps(body) + b"\n\n"


def _begun(asked: ChatAsked, made: Completion) -> dict[str, Any]:
    given = asked.given
    return {
        "id": f"resp_{made.id}",
        "object": "response",
        "created_at": made.created,
        "status": "in_progress",
        "completed_at": None,
        "error": None,
        "incomplete_details": None,
        **{name: given.get(name) for name in _ECHOED},
        "model": made.model,
        "output": [],
        "parallel_tool_calls": given.get("parallel_tool_calls", True),
        "previous_response_id": None,
        "reasoning": given.get("reasoning") or {"effort": None, "summary": None},
        "service_tier": "default",
        "store": given.get("store", True),
        "text": given.get("text") or {"format": {"type": "text"}},
        "tool_choice": given.get("tool_choice") or "auto",
        "tools": given.get("tools") or [],
        "truncation": "disabled",
        "usage": None,
    }


def _reasoning(made: Completion) -> list[dict[str, Any]]:
    if not made.thought_tokens:
        return []
    return [{"id": f"rs_{made.id}", "type": "reasoning", "summary": []}]


def _item(made: Completion, text: str, status: str = "completed") -> dict[str, Any]:
    if status == "completed" and made.finish_reason in _REASONS:
        status = "incomplete"
    if made.tool is not None:
        return {
            "id": f"fc_{made.id}",
            "type": "function_call",
            "status": status,
            "call_id": f"call_{made.id}",
            "name": made.tool,
            "arguments": text,
        }
    return {
        "id": f"msg_{made.id}",
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": [_part(text)],
    }


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _text(made: Completion) -> str:
    return "".join(made.choices[0])
