"""One candidate of Gemini's on its way to being a choice of OpenAI's."""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import orjson

from workers.providers.dialect import ErrorReply, MalformedReplyError
from workers.providers.gemini_errors import UNFINISHED, word_of

FINISHED: Final[Mapping[str, str]] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    # More could be had by another request that carries a token: for the sender to ask.
    "CONTINUATION": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
}
"""OpenAI's word for each reason to finish that leaves an answer, or a refusal, behind."""

_MOST_CALLS: Final = 1_024


def finish_of(candidate: Mapping[str, Any]) -> str | None:
    """Gemini's word for why a candidate ended; None while it has not.

    Raises ErrorReply when it ended without an answer.
    """
    given = candidate.get("finishReason")
    if not given or given == "FINISH_REASON_UNSPECIFIED":
        return None
    word = word_of(given)
    if word in FINISHED:
        return word
    said = candidate.get("finishMessage")
    raise ErrorReply(
        status=200,
        kind="no_answer",
        code=word if word in UNFINISHED else "unknown_finish_reason",
        message=str(said)[:500] if said else f"The answer ended with {word or 'no known word'}.",
    )


class Choice:
    """Parts of one candidate in, a message out. What is thought stays apart from what is said."""

    __slots__ = (
        "_calls",
        "_logprobs",
        "_pictures",
        "_said",
        "_thought",
        "_work_id",
        "index",
        "word",
    )

    def __init__(self, work_id: str, index: int) -> None:
        self.index = index
        self.word: str | None = None
        """Why it ended, in Gemini's word."""
        self._work_id = work_id
        self._said: list[str] = []
        self._thought: list[str] = []
        self._calls: list[dict[str, Any]] = []
        self._pictures: list[dict[str, Any]] = []
        self._logprobs: list[dict[str, Any]] = []

    @property
    def finish_reason(self) -> str | None:
        """Why it ended, in OpenAI's word."""
        if self.word is None:
            return None
        reason = FINISHED[self.word]
        return "tool_calls" if self._calls and reason == "stop" else reason

    @property
    def text(self) -> str | None:
        """What was said; None where something else came, or a filter stopped it, before a word."""
        unsaid = self._calls or self._pictures or self.finish_reason == "content_filter"
        return "".join(self._said) if self._said or not unsaid else None

    @property
    def pictures(self) -> int:
        """How many pictures came with it."""
        return len(self._pictures)

    def add(self, candidate: Mapping[str, Any]) -> dict[str, Any]:
        """Add a candidate, or a chunk of one, and return what it adds as OpenAI's delta.

        Raises ErrorReply when it ended without an answer, MalformedReplyError, AttributeError,
        TypeError and ValueError where it has no known form.
        """
        delta: dict[str, Any] = {}
        for part in (candidate.get("content") or {}).get("parts") or ():
            self._part(part, delta)
        logprobs = candidate.get("logprobsResult")
        if logprobs:
            self._logprobs.extend(_logprobs(logprobs))
        self.word = finish_of(candidate) or self.word
        return delta

    def _part(self, part: Mapping[str, Any], delta: dict[str, Any]) -> None:
        text = part.get("text")
        if text:
            thought = part.get("thought") is True
            (self._thought if thought else self._said).append(_text(text))
            name = "reasoning_content" if thought else "content"
            delta[name] = delta.get(name, "") + text
        if part.get("functionCall") is not None:
            call = self._call(part["functionCall"], part.get("thoughtSignature"))
            self._calls.append(call)
            place = len(self._calls) - 1
            delta.setdefault("tool_calls", []).append({"index": place, **call})
        if part.get("inlineData") is not None and part.get("thought") is not True:
            media_type, data = inline_of(part["inlineData"])
            picture = {
                "type": "image_url",
                "image_url": {"url": f"data:{media_type};base64,{data}"},
            }
            self._pictures.append(picture)
            delta.setdefault("images", []).append(picture)

    def _call(self, given: Mapping[str, Any], signature: Any) -> dict[str, Any]:
        if given.get("partialArgs") or given.get("willContinue"):
            raise MalformedReplyError(
                "A call of a function came in pieces, which was not asked for."
            )
        if len(self._calls) >= _MOST_CALLS:
            raise MalformedReplyError("The answer holds too many calls of functions.")
        args = given.get("args") or {}
        if not isinstance(args, dict):
            raise TypeError("arguments that are no object")
        own = given.get("id")
        call: dict[str, Any] = {
            "id": own if isinstance(own, str) and own else self._call_id(),
            "type": "function",
            "function": {"name": _text(given["name"]), "arguments": orjson.dumps(args).decode()},
        }
        if isinstance(signature, str):
            # As in Google's own OpenAI form: the sender gives it back with the call.
            call["extra_content"] = {"google": {"thought_signature": signature}}
        return call

    def _call_id(self) -> str:
        """The same for the same call of the same prompt, in a stream or whole."""
        place = f"{self._work_id}/{self.index}/{len(self._calls)}".encode()
        return f"call_{hashlib.blake2s(place, digest_size=12).hexdigest()}"

    def whole(self) -> dict[str, Any]:
        """The choice as a whole reply of OpenAI's has it."""
        message: dict[str, Any] = {"role": "assistant", "content": self.text, "refusal": None}
        if self._thought:
            message["reasoning_content"] = "".join(self._thought)
        if self._calls:
            message["tool_calls"] = self._calls
        if self._pictures:
            message["images"] = self._pictures
        return {
            "index": self.index,
            "message": message,
            "finish_reason": self.finish_reason,
            "logprobs": {"content": self._logprobs} if self._logprobs else None,
        }


def inline_of(blob: Mapping[str, Any]) -> tuple[str, str]:
    """Media type and base64 of an `inlineData`; raises TypeError where it has none."""
    return _text(blob.get("mimeType", "application/octet-stream")), _text(blob.get("data"))


def _logprobs(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    tops = result.get("topCandidates") or []
    return [
        {
            **_logprob(token),
            "top_logprobs": (
                [_logprob(top) for top in tops[place].get("candidates") or ()]
                if place < len(tops)
                else []
            ),
        }
        for place, token in enumerate(result.get("chosenCandidates") or ())
    ]


def _logprob(given: Mapping[str, Any]) -> dict[str, Any]:
    token = _text(given.get("token", ""))
    # Google's JSON leaves a zero out.
    return {
        "token": token,
        "logprob": float(given.get("logProbability", 0.0)),
        "bytes": list(token.encode()),
    }


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("no text where one belongs")
    return value
