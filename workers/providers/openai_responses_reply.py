"""A reply in OpenAI's Responses form as the chat completion it stands for.

Sources: `openai.types.responses.response` and the types of its output items in the SDK.
"""

from collections.abc import Mapping
from typing import Any, Final

from workers.providers.dialect import Answer, ErrorReply, MalformedReplyError
from workers.providers.openai_errors import error_in
from workers.providers.openai_reply import answer_of

_ERRORS_FROM: Final = 400

_REASONS: Final[Mapping[str, str]] = {
    "max_output_tokens": "length",
    "max_messages": "length",
    "content_filter": "content_filter",
}
"""Why a response is incomplete, in the words of a chat's finish reason."""

_CALLS: Final[Mapping[str, tuple[str, str]]] = {
    "function_call": ("function", "arguments"),
    "custom_tool_call": ("custom", "input"),
}


def answer_of_response(response: Mapping[str, Any]) -> Answer:
    """Read a whole response; raises ErrorReply for one that failed, MalformedReplyError."""
    status = response.get("status")
    if status == "failed" or response.get("error"):
        raise failure_of(response)
    if status not in ("completed", "incomplete"):
        raise MalformedReplyError("The response is not complete, and not over either.")
    try:
        return answer_of(_completion(response))
    except (AttributeError, KeyError, TypeError) as error:
        raise MalformedReplyError("The response has no known form.") from error


def failure_of(response: Mapping[str, Any]) -> ErrorReply:
    """The error of a response that failed."""
    return named_failure(error_in(response if response.get("error") else {}, 200))


def named_failure(error: ErrorReply) -> ErrorReply:
    """The error; one without code and status is the server's, as a response's `server_error` is."""
    if error.code is None and error.status < _ERRORS_FROM:
        error.code = "server_error"
    return error


def finish_reason_of(response: Mapping[str, Any]) -> str:
    """Why it ended, in a chat's words."""
    if response.get("status") == "incomplete":
        why = (response.get("incomplete_details") or {}).get("reason")
        return _REASONS.get(str(why), "length")
    called = any(item.get("type") in _CALLS for item in response["output"])
    return "tool_calls" if called else "stop"


def usage_of_response(usage: Any) -> dict[str, Any] | None:
    """The usage by a chat's names; None where there is none."""
    if not isinstance(usage, Mapping):
        return None
    return {
        "prompt_tokens": usage.get("input_tokens"),
        "completion_tokens": usage.get("output_tokens"),
        "total_tokens": usage.get("total_tokens"),
        "prompt_tokens_details": usage.get("input_tokens_details"),
        "completion_tokens_details": usage.get("output_tokens_details"),
    }


def tool_call_of(item: Mapping[str, Any]) -> dict[str, Any] | None:
    """A call of a tool as a chat's message has it; None for what is none."""
    kind, told = _CALLS.get(str(item.get("type")), ("", ""))
    if not kind:
        return None
    called = {"name": item["name"], told: item.get(told) or ""}
    return {"id": item["call_id"], "type": kind, kind: called}


def _completion(response: Mapping[str, Any]) -> dict[str, Any]:
    message = _Message()
    for item in response["output"]:
        message.add(item)
    head = {
        "id": response.get("id"),
        "object": "chat.completion",
        "created": response.get("created_at"),
        "model": response.get("model"),
        "choices": [
            {
                "index": 0,
                "message": message.whole(),
                "finish_reason": finish_reason_of(response),
                "logprobs": {"content": message.logprobs} if message.logprobs else None,
            }
        ],
        "usage": usage_of_response(response.get("usage")),
    }
    if response.get("service_tier") is not None:
        head["service_tier"] = response["service_tier"]
    if message.others:
        head["output"] = message.others
    return head


class _Message:
    """An assistant's message that the output's items are put into, one after the other."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.refusals: list[str] = []
        self.thoughts: list[str] = []
        self.calls: list[dict[str, Any]] = []
        self.annotations: list[Any] = []
        self.logprobs: list[Any] = []
        self.others: list[Any] = []
        """What a chat has no place for, such as searches of the provider's own tools."""

    def add(self, item: Mapping[str, Any]) -> None:
        """Raises KeyError and the like for an item of no known form."""
        call = tool_call_of(item)
        if call is not None:
            self.calls.append(call)
        elif item.get("type") == "message":
            for part in item["content"]:
                self._part(part)
        elif item.get("type") == "reasoning":
            told = (*(item.get("summary") or ()), *(item.get("content") or ()))
            self.thoughts.extend(thought["text"] for thought in told)
        else:
            self.others.append(item)

    def _part(self, part: Mapping[str, Any]) -> None:
        if part.get("type") == "refusal":
            self.refusals.append(part["refusal"])
            return
        self.texts.append(part["text"])
        self.logprobs.extend(part.get("logprobs") or ())
        for note in part.get("annotations") or ():
            kind = note["type"]
            inner = {name: value for name, value in note.items() if name != "type"}
            self.annotations.append({"type": kind, kind: inner})

    def whole(self) -> dict[str, Any]:
        """As a chat completion has it."""
        message: dict[str, Any] = {
            "role": "assistant",
            "content": "".join(self.texts) if self.texts else None,
            "refusal": "".join(self.refusals) if self.refusals else None,
        }
        if self.thoughts:
            message["reasoning_content"] = "".join(self.thoughts)
        if self.calls:
            message["tool_calls"] = self.calls
        if self.annotations:
            message["annotations"] = self.annotations
        return message
