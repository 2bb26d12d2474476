"""Puts OpenAI's streamed chat completion together again, as if it had come whole."""

from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from broker.records.usage import Usage
from workers.providers.dialect import (
    Answer,
    CutStreamError,
    MalformedReplyError,
    Piece,
)
from workers.providers.event_stream import EventStream
from workers.providers.openai_errors import error_in
from workers.providers.openai_reply import answer_of, usage_of

_DONE: Final = b"[DONE]"
_TEXTS: Final = frozenset({"content", "refusal"})
_HEAD: Final = (
    *("id", "created", "model", "system_fingerprint", "service_tier"),
    "prompt_filter_results",
)
"""What the first chunk that has it says of the whole answer."""
_JOINED: Final = frozenset({"arguments", "data", "transcript"})
"""Texts inside an object that come in pieces."""
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
        self._choices: dict[int, _Choice] = {}
        self._usage: dict[str, Any] | None = None
        self._done = False

    @property
    def ended(self) -> bool:
        """Whether `[DONE]` has come."""
        return self._done

    @property
    def usage(self) -> Usage:
        """What the last chunk with a usage said."""
        return usage_of(self._usage)

    def feed(self, data: bytes) -> list[Piece]:
        """Take the next bytes; raises ErrorReply for an error in the stream."""
        pieces: list[Piece] = []
        for event in self._events.feed(data):
            if self._done:
                break
            if event == _DONE:
                self._done = True
                break
            self._chunk(event, pieces)
        return pieces

    def answer(self) -> Answer:
        """The whole answer; raises CutStreamError when some choice has not ended."""
        ended = [c for c in self._choices.values() if c.finish_reason is not None]
        if len(ended) < max(self._wanted, len(self._choices)):
            raise CutStreamError(
                f"The stream ended before the answer did: {len(ended)} of {self._wanted} choices "
                "have a finish reason."
            )
        body = {
            **self._head,
            "object": "chat.completion",
            "choices": [self._choices[index].whole(index) for index in sorted(self._choices)],
            "usage": self._usage,
        }
        return answer_of(body)

    def _chunk(self, event: bytes, pieces: list[Piece]) -> None:
        try:
            chunk = orjson.loads(event)
        except orjson.JSONDecodeError as error:
            raise MalformedReplyError("A chunk of the stream is not JSON.") from error
        if not isinstance(chunk, dict):
            raise MalformedReplyError("A chunk of the stream is not a JSON object.")
        if chunk.get("error") or chunk.get("object") == "error":
            raise error_in(chunk, 200)
        for name in _HEAD:
            if chunk.get(name) is not None:
                self._head.setdefault(name, chunk[name])
        if isinstance(chunk.get("usage"), dict):
            self._usage = chunk["usage"]
        try:
            pieces.extend(map(self._delta, chunk.get("choices") or ()))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise MalformedReplyError("A chunk of the stream has choices of no known form.") from (
                error
            )

    def _delta(self, given: dict[str, Any]) -> Piece:
        index, delta = _place(given.get("index", 0)), given.get("delta") or {}
        choice = self._choices.setdefault(index, _Choice())
        for name, value in delta.items():
            if value is None or value in ("", []):
                choice.fields.setdefault(name, value)
                continue
            if name != "role":
                self.begun = True
            choice.add(name, value)
        for name, value in (given.get("logprobs") or {}).items():
            if isinstance(value, list):
                choice.logprobs.setdefault(name, []).extend(value)
        reason = given.get("finish_reason")
        if reason is not None:
            reason = choice.finish_reason = str(reason)
        return Piece(index, delta, reason)


@dataclass(slots=True)
class _Choice:
    """One choice so far: `texts` in pieces that are joined at the end, `calls` by their index."""

    fields: dict[str, Any] = field(default_factory=dict)
    texts: dict[str, list[str]] = field(default_factory=dict)
    calls: dict[int, dict[str, Any]] = field(default_factory=dict)
    logprobs: dict[str, list[Any]] = field(default_factory=dict)
    finish_reason: str | None = None

    def add(self, name: str, value: Any) -> None:
        """Add a delta; raises TypeError and the like when it has no known form."""
        if name == "tool_calls":
            for piece in value:
                call = self.calls.setdefault(_place(piece["index"]), {"function": _Function()})
                _add_to_call(call, piece)
        elif name == "role":
            self.fields[name] = value
        elif isinstance(value, str):
            self.texts.setdefault(name, []).append(value)
        elif name in _TEXTS:
            raise TypeError(f"{name} is no text")
        elif isinstance(value, list) and isinstance(self.fields.get(name), list):
            self.fields[name] = [*self.fields[name], *value]
        elif isinstance(value, dict) and isinstance(self.fields.get(name), dict):
            self.fields[name] = _merged(self.fields[name], value)
        else:
            self.fields[name] = value

    def whole(self, index: int) -> dict[str, Any]:
        """The choice as it would have come at once."""
        message = {"role": "assistant", "content": None, **self.fields}
        message |= {name: "".join(pieces) for name, pieces in self.texts.items()}
        if self.calls:
            message["tool_calls"] = [
                {**call, "function": call["function"].whole()}
                for call in (self.calls[place] for place in sorted(self.calls))
            ]
        return {
            "index": index,
            "message": message,
            "finish_reason": self.finish_reason,
            "logprobs": self.logprobs or None,
        }


@dataclass(slots=True)
class _Function:
    """The function of a tool call so far."""

    name: str | None = None
    arguments: list[str] = field(default_factory=list)

    def whole(self) -> dict[str, str]:
        """As it would have come at once."""
        named = {} if self.name is None else {"name": self.name}
        return {**named, "arguments": "".join(self.arguments)}


def _add_to_call(call: dict[str, Any], piece: dict[str, Any]) -> None:
    for key, inner in piece.items():
        if key == "function":
            function: _Function = call["function"]
            if inner.get("arguments"):
                function.arguments.append(_text(inner["arguments"]))
            if inner.get("name"):
                function.name = _text(inner["name"])
        elif key != "index" and inner is not None:
            call[key] = inner


def _merged(told: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """Speech, or a function called the old way: texts that come in pieces, beside what is fixed."""
    whole = {**told, **{name: value for name, value in more.items() if value is not None}}
    for name in _JOINED & told.keys() & more.keys():
        if isinstance(told[name], str) and isinstance(more[name], str):
            whole[name] = told[name] + more[name]
    return whole


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("no text where one belongs")
    return value


def _place(index: Any) -> int:
    if type(index) is not int or not 0 <= index < _LONGEST_LIST:
        raise ValueError("an index out of place")
    return index
