"""Errors as OpenAI writes them: https://platform.openai.com/docs/guides/error-codes. Pure."""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from workers.simulator.forms.shape import JSON, ErrorForm
from workers.simulator.problems import Problem, What, status_of

_REQUEST: Final = "invalid_request_error"
_CODES: Final[Mapping[What, tuple[str, str | None, str | None]]] = {
    # Type, code and parameter.
    What.KEY: (_REQUEST, "invalid_api_key", None),
    What.MODEL: (_REQUEST, "model_not_found", "model"),
    What.NO_SUCH_URL: (_REQUEST, "unknown_url", None),
    What.METHOD: (_REQUEST, None, None),
    What.TOO_LARGE: (_REQUEST, None, None),
    What.TOO_LONG: (_REQUEST, "context_length_exceeded", "messages"),
    What.REFUSED: (_REQUEST, "content_filter", "prompt"),
    What.PICTURE: ("image_generation_user_error", "moderation_blocked", None),
    What.REQUESTS: ("requests", "rate_limit_exceeded", None),
    What.TOKENS: ("tokens", "rate_limit_exceeded", None),
    What.CONCURRENCY: ("requests", "rate_limit_exceeded", None),
    What.SPENT: ("insufficient_quota", "insufficient_quota", None),
    What.SERVER: ("server_error", None, None),
    What.OVERLOADED: ("server_error", "server_is_overloaded", None),
    What.HALFWAY: ("server_error", None, None),
}
_SENTENCES: Final[Mapping[What, str]] = {
    What.KEY: "Incorrect API key provided. You can find your API key in your account.",
    What.MODEL: "The model `{model}` does not exist or you do not have access to it.",
    What.TOO_LONG: "This model's maximum context length is {limit} tokens. However, your messages "
    "resulted in {asked} tokens.",
    What.REFUSED: "The response was filtered due to the prompt triggering the content policy.",
    What.PICTURE: "Your request was rejected by the safety system.",
    What.REQUESTS: "Rate limit reached for {model} on requests per min (RPM): Limit {limit}, Used "
    "{limit}, Requested {asked}. Please try again in {wait}.",
    What.TOKENS: "Rate limit reached for {model} on tokens per min (TPM): Limit {limit}, Requested "
    "{asked}. Please try again in {wait}.",
    What.CONCURRENCY: "Concurrency limit reached for requests.",
    What.SPENT: "You exceeded your current quota, please check your plan and billing details.",
    What.SERVER: "The server had an error while processing your request.",
    What.OVERLOADED: "The server is overloaded or not ready yet.",
    What.HALFWAY: "The server had an error while generating the answer.",
}


def error_object(problem: Problem) -> dict[str, Any]:
    """What stands inside `error`."""
    kind, code, param = _CODES.get(problem.what, (_REQUEST, None, None))
    given = problem.details
    return {
        "message": sentence(problem),
        "type": kind,
        "param": given.param or param,
        "code": given.code or code,
    }


def error_form(problem: Problem) -> ErrorForm:
    """The whole reply."""
    return ErrorForm(
        status_of(problem),
        orjson.dumps({"error": error_object(problem)}),
        {**JSON, **retry_after(problem)},
    )


def retry_after(problem: Problem) -> dict[str, str]:
    """When to come back, twice: whole seconds for those who know only the standard, and exactly."""
    seconds = problem.details.retry_after_s
    if seconds is None:
        return {}
    return {"Retry-After": str(-int(-seconds // 1)), "Retry-After-Ms": str(round(seconds * 1000))}


def sentence(problem: Problem) -> str:
    """What has happened, in a sentence; the problem's own where it has one."""
    given = problem.details
    if problem.message:
        return problem.message
    if problem.what is What.REQUESTS and not given.limit:
        return "Rate limit reached for requests."
    return _SENTENCES.get(problem.what, "The request cannot be served.").format(
        model=given.model,
        limit=given.limit,
        asked=given.asked,
        wait=duration(given.retry_after_s or 0.0),
    )


def duration(seconds: float) -> str:
    """A time as OpenAI's headers have it: `12ms`, `1.5s`, `6m0s`."""
    if seconds < 1:
        return f"{round(seconds * 1_000)}ms"
    minutes, rest = divmod(round(seconds, 3), 60)
    shown = f"{rest:.3f}".rstrip("0").rstrip(".")
    return f"{int(minutes)}m{shown}s" if minutes else f"{shown}s"
