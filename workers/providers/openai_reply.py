"""What is in OpenAI's replies: whole answers, counts, and errors in any of their forms."""

from typing import Any

from broker.records.usage import Usage
from workers.providers.dialect import Answer, ErrorReply, MalformedReplyError


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
        refused = "content_filter"
    elif refusal and not text:
        refused = "model_refusal"
    return Answer(
        text=text,
        body=body,
        usage=usage,
        finish_reason=str(reason),
        refusal=refused,
    )


def usage_of(given: Any) -> Usage:
    """The usage of a chat completion; raises AttributeError where it is no object."""
    given = given or {}
    cached = (given.get("prompt_tokens_details") or {}).get("cached_tokens")
    thoughts = (given.get("completion_tokens_details") or {}).get("reasoning_tokens")
    return Usage(
        count_of(given.get("prompt_tokens")),
        count_of(given.get("completion_tokens")),
        count_of(cached) or 0,
        count_of(thoughts) or 0,
    )


def count_of(value: Any) -> int | None:
    """A number of tokens; None for what is none."""
    return value if type(value) is int and value >= 0 else None


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
