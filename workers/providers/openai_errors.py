"""Errors in OpenAI's form, in any of the shapes that servers give them, and what follows them.

Sources: OpenAI's guide to error codes and the SDK's `_should_retry` and `types/responses/
response_error.py`; llama.cpp's server for `exceed_context_size_error`.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from broker.core.retries import COMMON, Action, RetryTable, Verdict
from workers.providers.dialect import ErrorReply, Reply
from workers.providers.rate_headers import retry_after

_SPENT: Final = Verdict(Action.MOVE, unhealthy=True, spent=True)
_RATE: Final = Verdict(Action.RETRY, in_place=3)
_SICK: Final = Verdict(Action.RETRY, in_place=1, unhealthy=True)
_AWAY: Final = Verdict(Action.MOVE, unhealthy=True)
_MOVE: Final = Verdict(Action.MOVE)
_REFUSED: Final = Verdict(Action.REFUSED)
_FAILED: Final = Verdict(Action.FAILED)

OPENAI: Final[RetryTable] = COMMON.with_rows(
    by_code={
        # 429 with these means that somebody must pay or raise a limit; waiting does not help.
        **dict.fromkeys(
            (
                "credit_balance_exhausted",
                "organization_spend_limit_exceeded",
                "project_spend_limit_exceeded",
                "organization_usage_limit_exceeded",
                "billing_hard_limit_reached",
                "billing_not_active",
            ),
            _SPENT,
        ),
        "slow_down": _RATE,
        "server_is_overloaded": _SICK,
        # In the error of a response or a stream, which have no status of their own.
        "server_error": _SICK,
        "vector_store_timeout": _SICK,
        # The prompt or its pictures were judged.
        **dict.fromkeys(
            (
                "content_policy_violation",
                "moderation_blocked",
                "image_content_policy_violation",
                "bio_policy",
                "misalignment_policy_violation",
            ),
            _REFUSED,
        ),
        # The prompt or its pictures are broken: so they are for everyone.
        **dict.fromkeys(
            (
                "invalid_prompt",
                "invalid_image",
                "invalid_image_format",
                "invalid_base64_image",
                "invalid_image_url",
                "invalid_image_mode",
                "image_too_large",
                "image_too_small",
                "image_parse_error",
                "image_file_too_large",
                "unsupported_image_media_type",
                "empty_image_file",
            ),
            _FAILED,
        ),
        # This provider cannot take or find it; another may.
        **dict.fromkeys(
            (
                "exceed_context_size_error",
                "string_above_max_length",
                "failed_to_download_image",
                "image_file_not_found",
                "data_residency_mismatch",
            ),
            _MOVE,
        ),
        # Nothing of ours works there, but waiting or money would not help.
        "unsupported_country_region_territory": _AWAY,
    }
)
"""By the codes of OpenAI's own errors, before HTTP's statuses."""

_ERRORS: Final = range(400, 600)


def error_of(reply: Reply) -> ErrorReply:
    """The error of a reply whose status is no success, whatever its body is."""
    try:
        data = orjson.loads(reply.body)
    except orjson.JSONDecodeError:
        data = None
    return error_in(data, reply.status, retry_after(reply.headers))


def error_in(data: Any, status: int, retry_after_s: float | None = None) -> ErrorReply:
    """An error body in any of its forms: nested, in a list, or flat (older vLLM).

    A code that is a number repeats the HTTP status: it is not taken for a word, but inside a stream
    or a reply with a good status it is the status.
    """
    if isinstance(data, list) and data:
        data = data[0]
    inner = data.get("error") if isinstance(data, dict) else None
    if isinstance(inner, str):
        inner = {"message": inner}
    if not isinstance(inner, dict):
        inner = data if isinstance(data, dict) else {}
    code = inner.get("code")
    message = inner.get("message") or inner.get("detail")
    number = _number(code)
    if number is not None and number in _ERRORS and status not in _ERRORS:
        status = number
    kind = inner.get("type")
    word = None if number is not None or code is None else str(code)
    return ErrorReply(
        status=status,
        kind=str(kind)[:64] if kind else "provider_error",
        code=(word or _word_instead(inner, kind) or "")[:64] or None,
        message=str(message)[:500] if message else f"The provider answered with {status}.",
        retry_after_s=retry_after_s,
    )


def _number(code: Any) -> int | None:
    """A code that is a number, also one written as text."""
    if type(code) is int:
        return code
    return int(code) if isinstance(code, str) and code.isascii() and code.isdigit() else None


def _word_instead(inner: Mapping[str, Any], kind: Any) -> str | None:
    """Where there is no code: a status in words, or a type that says what a code would."""
    status = inner.get("status")
    if isinstance(status, str):
        return status
    return kind if isinstance(kind, str) and kind in OPENAI.by_code else None
