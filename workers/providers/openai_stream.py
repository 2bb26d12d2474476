"""Puts OpenAI's streamed chat completion together again, as if it had come whole."""

from typing import Any, Final

import orjson

from workers.providers.dialect import Answer, CutStreamError, ErrorReply, MalformedReplyError
from workers.providers.event_stream import EventStream

_DONE: Final = b"[DONE]"
_LONGEST_LIST: Final = 1_024
"""Most choices, and most tool calls of one, that are believed."""


class ChatAssembler:
    """Chunks of `choices` wanted answers in, one `chat.completion` out.

    The official client accepts a stream that ends without a finish reason; here it has failed: a
    cut answer must not look like a whole one.
    """

    __slots__ = ("_choices", "_done", "_events", "_head", "_usage", "_wanted", "begun")

    def __init__(self, wanted: int) -> None:
        self.begun = False
        self._wanted = wanted
        self._events = EventStream()
        self._head: dict[str, Any] = {}
        self._choices: dict[int, dict[str, Any]] = {}
        self._usage: dict[str, Any] | None = None
        self._done = False

    @property
    def ended(self) -> bool:
        """Whether `[DONE]` has come."""
        return self._done

    def feed(self, data: bytes) -> None:
        """Take the next bytes; raises ErrorReply for an error in the stream."""
        for event in self._events.feed(data):
            if self._done:
                return
            if event == _DONE:
                self._done = True
                return
            self._chunk(event)

    def answer(self) -> Answer:
        """The whole answer; raises CutStreamError when some choice has not ended."""
        ended = [c for c in self._choices.values() if c["finish_reason"] is not None]
        if len(ended) < max(self._wanted, len(self._choices)):
            raise CutStreamError(
                f"The stream ended before the answer did: {len(ended)} of {self._wanted} choices "
                "have a finish reason."
            )
        body = {
            **self._head,
            "object": "chat.completion",
            "choices": [_whole(self._choices[index]) for index in sorted(self._choices)],
            "usage": self._usage,
        }
        return answer_of(body)

    def _chunk(self, event: bytes) -> None:
        try:
            chunk = orjson.loads(event)
        except orjson.JSONDecodeError as error:
            raise MalformedReplyError("A chunk of the stream is not JSON.") from error
        if not isinstance(chunk, dict):
            raise MalformedReplyError("A chunk of the stream is not a JSON object.")
        if chunk.get("error"):
            raise error_in(chunk, 200)
        for name in ("id", "created", "model", "system_fingerprint", "service_tier"):
            if chunk.get(name) is not None:
                self._head.setdefault(name, chunk[name])
        if isinstance(chunk.get("usage"), dict):
            self._usage = chunk["usage"]
        try:
            for choice in chunk.get("choices") or ():
                self._delta(choice)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise MalformedReplyError("A chunk of the stream has choices of no known form.") from (
                error
            )

    def _delta(self, choice: dict[str, Any]) -> None:
        index = _place(choice.get("index", 0))
        known = self._choices.setdefault(
            index, {"index": index, "message": {}, "finish_reason": None, "logprobs": None}
        )
        for name, value in (choice.get("delta") or {}).items():
            if value is None or value in ("", []):
                known["message"].setdefault(name, value)
                continue
            if name != "role":
                self.begun = True
            _merge(known["message"], name, value)
        if choice.get("logprobs"):
            known["logprobs"] = known["logprobs"] or {}
            for name, value in choice["logprobs"].items():
                if isinstance(value, list):
                    known["logprobs"].setdefault(name, []).extend(value)
        if choice.get("finish_reason") is not None:
            known["finish_reason"] = str(choice["finish_reason"])


def _merge(message: dict[str, Any], name: str, value: Any) -> None:
    """Add a delta: texts are pieces (joined at the end), tool calls go by their index."""
    if name == "tool_calls":
        calls = message.get(name)
        if not isinstance(calls, dict):
            calls = message[name] = {}
        for piece in value:
            _merge_tool_call(
                calls.setdefault(_place(piece["index"]), {"function": {"arguments": []}}), piece
            )
    elif isinstance(value, str) and name != "role":
        pieces = message.get(name)
        if not isinstance(pieces, list):
            pieces = message[name] = []
        pieces.append(value)
    else:
        message[name] = value


def _merge_tool_call(call: dict[str, Any], piece: dict[str, Any]) -> None:
    for key, inner in piece.items():
        if key == "function":
            if inner.get("arguments"):
                call["function"]["arguments"].append(inner["arguments"])
            if inner.get("name"):
                call["function"]["name"] = inner["name"]
        elif key != "index" and inner is not None:
            call[key] = inner


def _whole(choice: dict[str, Any]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": None}
    for name, value in choice["message"].items():
        if name == "tool_calls" and isinstance(value, dict):
            message[name] = [
                {**call, "function": {**call["function"], "arguments": "".join(pieces)}}
                for call in (value[index] for index in sorted(value))
                if (pieces := call["function"]["arguments"]) is not None
            ]
        elif isinstance(value, list) and value and all(isinstance(p, str) for p in value):
            message[name] = "".join(value)
        else:
            message[name] = value
    return {**choice, "message": message}


def _place(index: Any) -> int:
    if not isinstance(index, int) or not 0 <= index < _LONGEST_LIST:
        raise ValueError("an index out of place")
    return index


def answer_of(body: dict[str, Any]) -> Answer:
    """Read a whole chat completion; raises MalformedReplyError."""
    try:
        first = body["choices"][0]
        message, reason = first["message"], first["finish_reason"]
        text, refusal = message.get("content"), message.get("refusal")
        usage = body.get("usage") or {}
        tokens = usage.get("prompt_tokens"), usage.get("completion_tokens")
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise MalformedReplyError("The reply is not a chat completion.") from error
    if reason is None or not (text is None or isinstance(text, str)):
        raise MalformedReplyError("The reply's first choice has not ended, or holds no text.")
    refused = None
    if reason == "content_filter":
        refused = "content_filter"
    elif refusal and not text:
        refused = "model_refusal"
    return Answer(
        text=text,
        body=body,
        input_tokens=_count(tokens[0]),
        output_tokens=_count(tokens[1]),
        finish_reason=str(reason),
        refusal=refused,
    )


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None


def error_in(data: Any, status: int, retry_after_s: float | None = None) -> ErrorReply:
    """An error body in any of its forms: nested, in a list, or flat (older vLLM)."""
    if isinstance(data, list) and data:
        data = data[0]
    inner = data.get("error") if isinstance(data, dict) else None
    if isinstance(inner, str):
        inner = {"message": inner}
    if not isinstance(inner, dict):
        inner = data if isinstance(data, dict) else {}
    code = inner.get("code")
    if code is None or isinstance(code, int):  # vLLM repeats the HTTP status there
        code = inner.get("status") if isinstance(inner.get("status"), str) else None
    message = inner.get("message")
    kind = inner.get("type")
    return ErrorReply(
        status=status,
        kind=str(kind)[:64] if kind else "provider_error",
        code=None if code is None else str(code)[:64],
        message=str(message)[:500] if message else f"The provider answered with {status}.",
        retry_after_s=retry_after_s,
    )
