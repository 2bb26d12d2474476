"""Puts a streamed answer in OpenAI's Responses form together, told in pieces of a chat.

Its events are `openai.types.responses.response_stream_event` of the SDK. The stream is over with
`response.completed`, `response.incomplete` or `response.failed`, and has failed without one.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from broker.records.usage import Usage
from workers.providers.dialect import Answer, CutStreamError, MalformedReplyError, Piece
from workers.providers.event_stream import EventStream
from workers.providers.openai_errors import error_in
from workers.providers.openai_reply import usage_of
from workers.providers.openai_responses_reply import (
    answer_of_response,
    failure_of,
    finish_reason_of,
    named_failure,
    tool_call_of,
    usage_of_response,
)

_DELTAS: Final[Mapping[str, str]] = {
    "response.output_text.delta": "content",
    "response.refusal.delta": "refusal",
    "response.reasoning_summary_text.delta": "reasoning_content",
    "response.reasoning_text.delta": "reasoning_content",
}
"""Events that add text, and the field of a chat's delta that it belongs to."""

_ARGUMENTS: Final[Mapping[str, tuple[str, str]]] = {
    "response.function_call_arguments.delta": ("function", "arguments"),
    "response.custom_tool_call_input.delta": ("custom", "input"),
}
_LAST: Final = frozenset({"response.completed", "response.incomplete"})
_MOST_CALLS: Final = 1_024
"""Most calls of tools that are believed."""


class ResponseAssembler:
    """One response in, one `chat.completion` out. The last event carries the response whole."""

    __slots__ = ("_calls", "_events", "_items", "_response", "_usage", "begun")

    def __init__(self) -> None:
        self.begun = False
        self._events = EventStream()
        self._calls: dict[int, int] = {}
        self._items: dict[int, Any] = {}
        self._response: dict[str, Any] | None = None
        self._usage: dict[str, Any] | None = None

    @property
    def ended(self) -> bool:
        """Whether the whole response has come."""
        return self._response is not None

    @property
    def usage(self) -> Usage:
        """What the last event said; nothing before it."""
        return usage_of(self._usage)

    def feed(self, data: bytes) -> list[Piece]:
        """Take the next bytes; raises ErrorReply for an error or a response that failed."""
        pieces: list[Piece] = []
        for event in self._events.feed(data):
            if self._response is not None:
                break
            self._event(event, pieces.append)
        return pieces

    def answer(self) -> Answer:
        """The whole answer; raises CutStreamError where the last event never came."""
        if self._response is None:
            raise CutStreamError("The stream ended before the response was complete.")
        return answer_of_response(self._response)

    def _event(self, data: bytes, add: Callable[[Piece], None]) -> None:
        event = _read(data)
        if event is None:
            return
        try:
            self._take(event["type"], event, add)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise MalformedReplyError("An event of the stream has no known form.") from error

    def _take(self, kind: str, event: Mapping[str, Any], add: Callable[[Piece], None]) -> None:
        if kind in _DELTAS:
            self._said(_DELTAS[kind], event["delta"], add)
        elif kind in _ARGUMENTS:
            self._argued(_ARGUMENTS[kind], event, add)
        elif kind == "response.output_item.added":
            self._called(event, add)
        elif kind == "response.output_item.done":
            self._items[event["output_index"]] = event["item"]
        elif kind in _LAST:
            self._over(event["response"], add)
        elif kind == "response.failed":
            self._usage = usage_of_response(event["response"].get("usage"))
            raise failure_of(event["response"])

    def _said(self, name: str, text: Any, add: Callable[[Piece], None]) -> None:
        if not isinstance(text, str):
            raise TypeError("no text where one belongs")
        if text:
            self.begun = True
            add(Piece(0, {name: text}))

    def _called(self, event: Mapping[str, Any], add: Callable[[Piece], None]) -> None:
        call = tool_call_of(event["item"])
        if call is None:
            return
        if len(self._calls) >= _MOST_CALLS:
            raise ValueError("too many calls of tools")
        place = self._calls.setdefault(event["output_index"], len(self._calls))
        self.begun = True
        add(Piece(0, {"tool_calls": [{"index": place, **call}]}))

    def _argued(
        self, names: tuple[str, str], event: Mapping[str, Any], add: Callable[[Piece], None]
    ) -> None:
        kind, told = names
        if not isinstance(event["delta"], str):
            raise TypeError("no text where one belongs")
        place = self._calls[event["output_index"]]
        add(Piece(0, {"tool_calls": [{"index": place, kind: {told: event["delta"]}}]}))

    def _over(self, response: Any, add: Callable[[Piece], None]) -> None:
        if not isinstance(response, dict):
            raise TypeError("no response where one belongs")
        if not response.get("output"):
            # Some servers leave out here what they have told item by item.
            items = [self._items[place] for place in sorted(self._items)]
            response = {**response, "output": items}
        self._usage = usage_of_response(response.get("usage"))
        reason = finish_reason_of(response)
        self._response = response
        add(Piece(0, {}, reason))


def _read(data: bytes) -> dict[str, Any] | None:
    """An event with a type, None for the end that other streams have; raises ErrorReply."""
    try:
        event = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        if data == b"[DONE]":
            return None
        raise MalformedReplyError("An event of the stream is not JSON.") from error
    if not isinstance(event, dict):
        raise MalformedReplyError("An event of the stream is not a JSON object.")
    kind = event.get("type")
    if kind == "error" or (kind is None and event.get("error")):
        raise named_failure(error_in(event, 200))
    if not isinstance(kind, str):
        raise MalformedReplyError("An event of the stream is none of a response.")
    return event
