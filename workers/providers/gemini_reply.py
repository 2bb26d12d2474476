"""Gemini's replies in OpenAI's form: whole ones, and the chunks of a stream, by the same reader."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import orjson

from broker.records.usage import Usage
from broker.records.work import Work
from workers.providers.dialect import Answer, MalformedReplyError, Piece
from workers.providers.gemini_choice import Choice
from workers.providers.gemini_errors import error_in, word_of
from workers.providers.openai_reply import ANSWER_FILTERED, count_of

PROMPT_BLOCKED: Final = "content_filter"
"""The code of a prompt that was not answered at all; that of an answer which was stopped is
another (ANSWER_FILTERED)."""

_LONGEST_LIST: Final = 64
"""Most candidates that are believed; Gemini makes eight."""


class ChatReading:
    """One reply on its way, of one chunk or many."""

    __slots__ = ("_choices", "_created", "_head", "_meta", "_work", "begun", "blocked", "counted")

    def __init__(self, work: Work) -> None:
        self.begun = False
        self.counted = False
        """Whether a usage has come since the reply is whole: before, it counts a part."""
        self.blocked: str | None = None
        """Why the prompt was not answered, in Gemini's word."""
        self._work = work
        self._head: dict[str, str] = {}
        self._created: int | None = None
        self._choices: dict[int, Choice] = {}
        self._meta: Mapping[str, Any] = {}

    @property
    def whole(self) -> bool:
        """Whether each candidate has ended, or there will be none."""
        choices = self._choices.values()
        if not choices:
            return self.blocked is not None
        return all(choice.finish_reason is not None for choice in choices)

    @property
    def usage(self) -> Usage:
        """What was used as far as the reply has said."""
        return usage_of(self._meta)

    def take(self, chunk: Any) -> list[Piece]:
        """Add a chunk; raises ErrorReply and MalformedReplyError."""
        if not isinstance(chunk, dict):
            raise MalformedReplyError("A reply of Gemini's is not a JSON object.")
        if chunk.get("error"):
            raise error_in(chunk, 200)
        for name in ("responseId", "modelVersion"):
            if isinstance(chunk.get(name), str):
                self._head.setdefault(name, chunk[name])
        if self._created is None:
            self._created = seconds_of(chunk.get("createTime"))
        if isinstance(chunk.get("usageMetadata"), dict):
            self._meta = {**self._meta, **chunk["usageMetadata"]}
        feedback = chunk.get("promptFeedback")
        if isinstance(feedback, dict) and feedback.get("blockReason"):
            self.blocked = word_of(feedback["blockReason"]) or "OTHER"
        try:
            pieces = [
                piece
                for place, candidate in enumerate(chunk.get("candidates") or ())
                for piece in self._candidate(candidate, place)
            ]
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise MalformedReplyError("A candidate of Gemini's has no known form.") from error
        self.counted = self.whole and isinstance(chunk.get("usageMetadata"), dict)
        return pieces

    def answer(self) -> Answer:
        """The answer of a reply that is `whole`; raises MalformedReplyError for one of nothing."""
        notes = notes_of(self._meta)
        choices = [self._choices[index] for index in sorted(self._choices)]
        if not choices:
            return self._refused(notes)
        first = choices[0]
        refusal = None
        if first.finish_reason == "content_filter":
            refusal = ANSWER_FILTERED
            notes["finish_reason"] = first.word or ""
        return Answer(
            text=first.text,
            body=self._body([choice.whole() for choice in choices]),
            usage=usage_of(self._meta, sum(choice.pictures for choice in choices)),
            finish_reason=first.finish_reason,
            refusal=refusal,
            notes=notes,
        )

    def _refused(self, notes: dict[str, str]) -> Answer:
        if self.blocked is None:
            raise MalformedReplyError("The reply holds no candidates.")
        message = {"role": "assistant", "content": None, "refusal": None}
        choice = {"index": 0, "message": message, "finish_reason": "content_filter"}
        return Answer(
            text=None,
            body=self._body([{**choice, "logprobs": None}]),
            usage=usage_of(self._meta),
            finish_reason="content_filter",
            refusal=PROMPT_BLOCKED,
            notes={**notes, "block_reason": self.blocked},
        )

    def _body(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self._head.get("responseId") or f"chatcmpl-{self._work.id}",
            "object": "chat.completion",
            "created": self._created or int(self._work.accepted_at),
            "model": self._head.get("modelVersion") or self._work.model,
            "choices": choices,
            "usage": usage_body(self._meta),
        }

    def _candidate(self, candidate: dict[str, Any], place: int) -> list[Piece]:
        index = candidate.get("index", place)
        if type(index) is not int or not 0 <= index < _LONGEST_LIST:
            raise ValueError("an index out of place")
        choice, delta = self._choices.get(index), {}
        if choice is None:
            choice = self._choices[index] = Choice(self._work.id, index)
            delta["role"] = "assistant"
        added = choice.add(candidate)
        self.begun = self.begun or bool(added)
        delta |= added
        if not delta and choice.finish_reason is None:
            return []
        return [Piece(index, delta, choice.finish_reason)]


def chat_answer(work: Work, body: bytes) -> Answer:
    """Read a whole chat reply; raises ErrorReply and MalformedReplyError."""
    reading = ChatReading(work)
    reading.take(decoded(body))
    if not reading.whole:
        raise MalformedReplyError("The reply holds no candidate that has ended.")
    return reading.answer()


def decoded(body: bytes) -> Any:
    """JSON of a reply with a good status; one in a list is taken out of it."""
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedReplyError("The reply is not JSON.") from error
    return data[0] if isinstance(data, list) and len(data) == 1 else data


def usage_of(meta: Mapping[str, Any], images: int = 0) -> Usage:
    """Counts of a `usageMetadata`: thoughts stand beside the candidates and are billed too."""
    prompt = count_of(meta.get("promptTokenCount"))
    thoughts = count_of(meta.get("thoughtsTokenCount")) or 0
    said = count_of(meta.get("candidatesTokenCount"))
    known = prompt is not None or said is not None
    tools = count_of(meta.get("toolUsePromptTokenCount")) or 0
    return Usage(
        None if prompt is None else prompt + tools,
        (said or 0) + thoughts if known else None,
        count_of(meta.get("cachedContentTokenCount")) or 0,
        thoughts,
        images,
    )


def usage_body(meta: Mapping[str, Any]) -> dict[str, Any] | None:
    """The `usage` of a chat completion; None where nothing was counted."""
    usage = usage_of(meta)
    if usage.output_tokens is None:
        return None
    asked = usage.input_tokens or 0
    return {
        "prompt_tokens": asked,
        "completion_tokens": usage.output_tokens,
        "total_tokens": asked + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_input_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def notes_of(meta: Mapping[str, Any]) -> dict[str, str]:
    """What the journal keeps: how the traffic was paid for."""
    traffic = word_of(meta.get("trafficType"))
    return {} if traffic is None else {"traffic_type": traffic}


def seconds_of(time: Any) -> int | None:
    """Unix seconds of an RFC 3339 time; None for what is none."""
    try:
        return int(datetime.fromisoformat(time).timestamp())
    except (OverflowError, TypeError, ValueError):
        return None
