"""Errors as Google's APIs write them, and blocked prompts, which are no errors there. Pure.

https://google.aip.dev/193 for the form, google.rpc.Code for the words. A path that leads nowhere
gets a page for people.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from workers.simulator.forms.shape import JSON, ErrorForm
from workers.simulator.problems import Problem, What, status_of

_WORDS: Final[Mapping[int, str]] = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_STATUS: Final[Mapping[What, int]] = {What.SPENT: 403, What.TOO_LARGE: 400}
_PAGES: Final = (What.NO_SUCH_URL, What.METHOD)
_EXHAUSTED: Final = "Resource exhausted. Please try again later."
_SENTENCES: Final[Mapping[What, str]] = {
    What.KEY: "Request had invalid authentication credentials. Expected OAuth 2 access token, "
    "login cookie or other valid authentication credential.",
    What.REQUESTS: _EXHAUSTED,
    What.TOKENS: _EXHAUSTED,
    What.CONCURRENCY: _EXHAUSTED,
    What.SPENT: "This API method requires billing to be enabled. Please enable billing on the "
    "project, then retry.",
    What.SERVER: "Internal error encountered.",
    What.HALFWAY: "Internal error encountered.",
    What.OVERLOADED: "The service is currently unavailable.",
}
_REASONS: Final[Mapping[What, str]] = {
    What.KEY: "ACCESS_TOKEN_TYPE_UNSUPPORTED",
    What.SPENT: "BILLING_DISABLED",
}


def error_object(problem: Problem) -> dict[str, Any]:
    """What stands inside `error`."""
    status = _STATUS.get(problem.what) or status_of(problem)
    found: dict[str, Any] = {
        "code": status,
        "message": _sentence(problem),
        "status": _WORDS.get(status, "UNAVAILABLE"),
    }
    if problem.what in _REASONS:
        found["details"] = [
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": _REASONS[problem.what],
                "domain": "googleapis.com",
                "metadata": {"service": "aiplatform.googleapis.com"},
            }
        ]
    return found


def gemini_error(problem: Problem, *, array: bool, events: bool) -> ErrorForm:
    """The whole reply; `array` where the call asked for a stream that is an array."""
    if problem.what in _PAGES:
        page = b"<!DOCTYPE html>\n<html lang=en><title>Error 404 (Not Found)!!1</title></html>\n"
        return ErrorForm(404, page, {"Content-Type": "text/html; charset=UTF-8"})
    if problem.what in (What.REFUSED, What.PICTURE):
        body = orjson.dumps(_blocked(problem))
        if events:
            headers = {"Content-Type": "text/event-stream"}
            return ErrorForm(200, b"data: " + body + b"\r\n\r\n", headers)
        return ErrorForm(200, b"[" + body + b"]\n" if array else body, JSON)
    found = error_object(problem)
    body = orjson.dumps({"error": found})
    return ErrorForm(found["code"], b"[" + body + b"]\n" if array else body, JSON)


def _blocked(problem: Problem) -> dict[str, Any]:
    """A reply without an answer: status 200, and only here what was wrong."""
    tokens = problem.details.input_tokens
    usage = {
        "promptTokenCount": tokens,
        "totalTokenCount": tokens,
        "trafficType": "ON_DEMAND",
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": tokens}],
    }
    found: dict[str, Any] = {"usageMetadata": usage, "modelVersion": problem.details.model}
    if problem.what is What.PICTURE:
        found["candidates"] = [{"finishReason": "IMAGE_SAFETY", "finishMessage": "Not shown."}]
    else:
        found["promptFeedback"] = {
            "blockReason": "PROHIBITED_CONTENT",
            "blockReasonMessage": "The prompt was blocked because it has prohibited content.",
        }
    return found


def _sentence(problem: Problem) -> str:
    given = problem.details
    if problem.what is What.MODEL:
        return (
            f"Publisher Model `{given.model}` was not found or your project does not have access "
            "to it. Please ensure you are using a valid model version."
        )
    if problem.what is What.TOO_LONG:
        return (
            f"The input token count ({given.asked}) exceeds the maximum number of tokens allowed "
            f"({given.limit})."
        )
    if problem.what is What.TOO_LARGE:
        return "Request payload size exceeds the limit."
    return _SENTENCES.get(problem.what) or problem.message
