"""What is in OpenAI's replies to chats: whole answers and counts."""

from typing import Any, Final

from broker.records.usage import Usage
from workers.providers.dialect import Answer, MalformedReplyError

ANSWER_FILTERED: Final = "answer_filtered"
"""The code of an answer that was cut off by a filter; a prompt that was is `content_filter`."""

MODEL_REFUSAL: Final = "model_refusal"
"""The code of an answer in which the model says that it will not answer."""


def answer_of(body: dict[str, Any]) -> Answer:
    """Read a whole chat completion; raises MalformedReplyError."""
    try:
        first = body["choices"][0]
        message, reason = first["message"], first["finish_reason"]
        text, refusal = message.get("content"), message.get("refusal")
        usage = usage_of(body.get("usage"))
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise MalformedReplyError("The reply is not a chat completion.") from error
    if reason is None or not (text is None or isinstance(text, str)):
        raise MalformedReplyError("The reply's first choice has not ended, or holds no text.")
    refused = None
    if reason == "content_filter":
        refused = ANSWER_FILTERED
    elif refusal and not text:
        refused = MODEL_REFUSAL
    return Answer(
        text=text,
        body=body,
        usage=usage,
        finish_reason=str(reason),
        refusal=refused,
    )


def usage_of(given: Any) -> Usage:
    """The usage of a chat completion; nothing is known where it has no known form."""
    given = _object(given)
    cached = _object(given.get("prompt_tokens_details")).get("cached_tokens")
    thoughts = _object(given.get("completion_tokens_details")).get("reasoning_tokens")
    return Usage(
        count_of(given.get("prompt_tokens")),
        count_of(given.get("completion_tokens")),
        count_of(cached) or 0,
        count_of(thoughts) or 0,
    )


def _object(given: Any) -> dict[str, Any]:
    return given if isinstance(given, dict) else {}


def count_of(value: Any) -> int | None:
    """A number of tokens; None for what is none."""
    return value if type(value) is int and value >= 0 else None
