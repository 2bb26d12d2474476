"""What Gemini's errors are, and what follows each.

The form is Google's for every API: https://google.aip.dev/193, with details of `google.rpc`.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import orjson

from broker.core.retries import COMMON, Action, RetryTable, Verdict
from workers.providers.dialect import ErrorReply, Reply
from workers.providers.rate_headers import retry_after

_AGAIN: Final = Verdict(Action.RETRY, in_place=1)
_SICK: Final = Verdict(Action.RETRY, in_place=1, unhealthy=True)
_AWAY: Final = Verdict(Action.MOVE, unhealthy=True)
_SPENT: Final = Verdict(Action.MOVE, unhealthy=True, spent=True)
_MOVE: Final = Verdict(Action.MOVE)
_REFUSED: Final = Verdict(Action.REFUSED)
_FAILED: Final = Verdict(Action.FAILED)

_STATUSES: Final[Mapping[str, Verdict]] = {
    # https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/api-errors; the statuses
    # that are tried again are those of the official SDK (408, 429, 500, 502, 503, 504).
    # Pressure of a pool that all customers share: no time to wait is documented, so ours holds.
    "RESOURCE_EXHAUSTED": Verdict(Action.RETRY, in_place=3),
    "UNAVAILABLE": _SICK,
    "INTERNAL": _SICK,
    "UNKNOWN": _SICK,
    "DEADLINE_EXCEEDED": _SICK,
    "ABORTED": _AGAIN,
    "CANCELLED": _AGAIN,
    # This project, location or credential cannot; another provider may.
    "FAILED_PRECONDITION": _MOVE,
    "NOT_FOUND": _MOVE,
    "UNIMPLEMENTED": _MOVE,
    "PERMISSION_DENIED": _AWAY,
    "UNAUTHENTICATED": _AWAY,
    # The prompt itself is wrong.
    "INVALID_ARGUMENT": _FAILED,
    "OUT_OF_RANGE": _FAILED,
}

_REASONS: Final[Mapping[str, Verdict]] = {
    # google.api.ErrorReason, in the details: where the reason tells more than the status. A wrong
    # key comes as INVALID_ARGUMENT, and is no fault of the prompt.
    "API_KEY_INVALID": _AWAY,
    "API_KEY_SERVICE_BLOCKED": _AWAY,
    "ACCESS_TOKEN_EXPIRED": _AWAY,
    "BILLING_DISABLED": _SPENT,
    "CONSUMER_INVALID": _AWAY,
    "CONSUMER_SUSPENDED": _AWAY,
    "SERVICE_DISABLED": _AWAY,
}

UNFINISHED: Final[Mapping[str, Verdict]] = {
    # Reasons to finish (the official SDK's FinishReason) that leave no answer behind.
    "MALFORMED_FUNCTION_CALL": _AGAIN,
    "MALFORMED_RESPONSE": _AGAIN,
    "UNEXPECTED_TOOL_CALL": _AGAIN,
    "TOO_MANY_TOOL_CALLS": _AGAIN,
    "NO_IMAGE": _AGAIN,
    "IMAGE_OTHER": _AGAIN,
    "OTHER": _AGAIN,
    "LANGUAGE": _MOVE,
    "MISSING_THOUGHT_SIGNATURE": _MOVE,
    "ESCALATION": _REFUSED,
    "PUP_LIMITED_DISABLED": _AWAY,
}

RETRIES: Final[RetryTable] = COMMON.with_rows(
    by_code={**_STATUSES, **_REASONS, **UNFINISHED},
    by_status={499: _AGAIN},
)

_TOO_LONG: Final = re.compile(r"input token count.*exceeds the maximum", re.IGNORECASE | re.DOTALL)
"""A prompt that does not fit has no code of its own: only the sentence tells it."""

_DURATION: Final = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)s")
_WORD: Final = re.compile(r"[A-Z][A-Z_]{0,63}")


def error_of(reply: Reply) -> ErrorReply:
    """Read a reply whose status is no success, whatever its body is."""
    try:
        data = orjson.loads(reply.body)
    except orjson.JSONDecodeError:
        data = None
    return error_in(data, reply.status, retry_after(reply.headers))


def error_in(data: Any, status: int, retry_after_s: float | None = None) -> ErrorReply:
    """An error body, bare or in a list; `code` is its word, such as RESOURCE_EXHAUSTED.

    An error that came with a good status, inside a stream, has the status that it names itself.
    """
    if isinstance(data, list) and data:
        data = data[0]
    inner = data.get("error") if isinstance(data, dict) else None
    if not isinstance(inner, dict):
        inner = {"message": inner} if isinstance(inner, str) else {}
    own = inner.get("code")
    if status < 400 and type(own) is int and 400 <= own < 600:  # noqa: PLR2004 - HTTP's errors
        status = own
    details = inner.get("details")
    facts = [each for each in details if isinstance(each, dict)] if type(details) is list else []
    message = str(inner.get("message") or f"The provider answered with {status}.")
    code = word_of(inner.get("status"))
    reason = next((word for word in (word_of(fact.get("reason")) for fact in facts) if word), None)
    if reason in _REASONS:
        code = reason
    elif code == "INVALID_ARGUMENT" and _TOO_LONG.search(message):
        code = "context_length_exceeded"
    return ErrorReply(
        status=status,
        kind="provider_error" if reason is None else reason.lower(),
        code=code,
        message=message[:500],
        retry_after_s=_delay(facts) if retry_after_s is None else retry_after_s,
    )


def word_of(value: Any) -> str | None:
    """A word of one of Google's closed lists; None for anything else."""
    return value if isinstance(value, str) and _WORD.fullmatch(value) else None


def _delay(facts: list[dict[str, Any]]) -> float | None:
    """Seconds of a google.rpc.RetryInfo, such as "3.5s"; None where there is none."""
    for fact in facts:
        delay = fact.get("retryDelay")
        found = _DURATION.fullmatch(delay) if isinstance(delay, str) else None
        if found is not None:
            return float(found.group(1))
    return None
