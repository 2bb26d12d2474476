"""Puts Ollama's streamed chat together: a JSON object in each line, the last of them `done`."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import orjson

from broker.records.usage import Usage
from workers.providers.dialect import Answer, CutStreamError, MalformedReplyError, Piece
from workers.providers.event_stream import MAX_EVENT_BYTES
from workers.providers.openai_errors import error_in
from workers.providers.openai_reply import answer_of, usage_of

_TEXTS: Final[Mapping[str, str]] = {"content": "content", "thinking": "reasoning_content"}
"""Fields of its messages, and their names in OpenAI's form."""

_MOST_CALLS: Final = 1_024
"""Most calls of tools that are believed."""


class LineAssembler:
    """Lines in, one `chat.completion` out. A whole reply is a stream of one line."""

    __slots__ = ("_calls", "_last", "_rest", "_texts", "begun")

    def __init__(self) -> None:
        self.begun = False
        self._rest = b""
        self._texts: dict[str, list[str]] = {}
        self._calls: list[dict[str, Any]] = []
        self._last: dict[str, Any] | None = None

    @property
    def ended(self) -> bool:
        """Whether the line that says so has come."""
        return self._last is not None

    @property
    def usage(self) -> Usage:
        """What the last line said; nothing before it."""
        return usage_of(_usage(self._last or {}))

    def feed(self, data: bytes) -> list[Piece]:
        """Take the next bytes; raises ErrorReply for an error in a line."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > MAX_EVENT_BYTES:
            raise MalformedReplyError(
                f"A line of the stream is longer than {MAX_EVENT_BYTES} bytes.",
                code="answer_too_large",
            )
        pieces: list[Piece] = []
        for line in lines:
            if self._last is not None:
                break
            if line.strip():
                self._line(line, pieces)
        return pieces

    def answer(self) -> Answer:
        """The whole answer; raises CutStreamError where the last line never came."""
        last = self._last
        if last is None:
            raise CutStreamError("The stream ended before the line that says it is done.")
        message: dict[str, Any] = {"role": "assistant", "content": None}
        message |= {name: "".join(texts) for name, texts in self._texts.items()}
        if self._calls:
            message["tool_calls"] = self._calls
        choice: dict[str, Any] = {"index": 0, "message": message}
        choice["finish_reason"] = self._reason(last)
        body = {
            "object": "chat.completion",
            "created": _seconds(last.get("created_at")),
            "model": last.get("model"),
            "choices": [choice],
            "usage": _usage(last),
        }
        return answer_of(body)

    def _reason(self, last: Mapping[str, Any]) -> str:
        if self._calls:
            return "tool_calls"
        return "length" if last.get("done_reason") == "length" else "stop"

    def _line(self, line: bytes, pieces: list[Piece]) -> None:
        try:
            data = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise MalformedReplyError("A line of the stream is not JSON.") from error
        if not isinstance(data, dict):
            raise MalformedReplyError("A line of the stream is not a JSON object.")
        if data.get("error"):
            raise error_in(data, 200)
        try:
            delta = self._delta(data.get("message") or {})
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise MalformedReplyError("A line of the stream has no known form.") from error
        if data.get("done") is True:
            self._last = data
            pieces.append(Piece(0, delta, self._reason(data)))
        elif delta:
            pieces.append(Piece(0, delta))

    def _delta(self, message: Mapping[str, Any]) -> dict[str, Any]:
        delta: dict[str, Any] = {}
        for theirs, name in _TEXTS.items():
            text = message.get(theirs)
            if text is not None and not isinstance(text, str):
                raise TypeError("no text where one belongs")
            if text:
                delta[name] = text
                self._texts.setdefault(name, []).append(text)
        calls = [self._call(call) for call in message.get("tool_calls") or ()]
        if calls:
            delta["tool_calls"] = calls
        self.begun = self.begun or bool(delta)
        return delta

    def _call(self, given: Mapping[str, Any]) -> dict[str, Any]:
        place, function = len(self._calls), given["function"]
        if place >= _MOST_CALLS or not isinstance(function["name"], str):
            raise ValueError("no call of a tool")
        arguments = orjson.dumps(function.get("arguments") or {}).decode()
        call = {
            "id": str(given.get("id") or f"call_{place}"),
            "type": "function",
            "function": {"name": function["name"], "arguments": arguments},
        }
        self._calls.append(call)
        return {"index": place, **call}


def _usage(last: Mapping[str, Any]) -> dict[str, Any]:
    asked, said = last.get("prompt_eval_count"), last.get("eval_count")
    both = type(asked) is int and type(said) is int
    return {
        "prompt_tokens": asked,
        "completion_tokens": said,
        "total_tokens": asked + said if both else None,  # type: ignore[operator]  # both are ints
    }


def _seconds(created_at: Any) -> int | None:
    try:
        return int(datetime.fromisoformat(created_at).timestamp())
    except (OverflowError, TypeError, ValueError):
        return None
