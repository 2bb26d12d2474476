"""Errors and findings of content filters as Azure writes them. Pure.

Its own gateway's errors have only a code and a message; those of the models behind it are OpenAI's.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from workers.simulator.forms.openai_errors import error_object, retry_after
from workers.simulator.forms.shape import JSON, ErrorForm, Operation, Route
from workers.simulator.problems import Problem, What, status_of

_CATEGORIES: Final = ("hate", "self_harm", "sexual", "violence")
_OPERATIONS: Final[Mapping[Operation, str]] = {
    Operation.CHAT: "ChatCompletions_Create",
    Operation.RESPONSES: "Responses_Create",
    Operation.IMAGES: "ImageGenerations_Create",
    Operation.VECTORS: "Embeddings_Create",
}
_PRESSURE: Final = (What.REQUESTS, What.TOKENS, What.CONCURRENCY)
_GATEWAY: Final[Mapping[What, tuple[str, str]]] = {
    What.KEY: (
        "401",
        (
            "Access denied due to invalid subscription key or wrong API endpoint. Make sure to "
            "provide a valid key for an active subscription and use a correct regional API "
            "endpoint for your resource."
        ),
    ),
    What.MODEL: (
        "DeploymentNotFound",
        (
            "The API deployment for this resource does not exist. If you created the deployment "
            "within the last 5 minutes, please wait a moment and try again."
        ),
    ),
    What.PICTURE: (
        "contentFilter",
        "Generated image was filtered as a result of our safety system.",
    ),
    What.NO_SUCH_URL: ("404", "Resource not found"),
    What.METHOD: ("404", "Resource not found"),
    What.OVERLOADED: (
        "ServiceUnavailable",
        "The service is temporarily unable to process your request. Please try again later.",
    ),
    What.SERVER: (
        "InternalServerError",
        "The server had an error while processing your request.",
    ),
}
_FILTERED_PROMPT: Final = (
    "The response was filtered due to the prompt triggering Azure OpenAI's content management "
    "policy. Please modify your prompt and retry."
)


def azure_error(route: Route | None, problem: Problem) -> ErrorForm:
    """The whole reply."""
    status = 404 if problem.what is What.METHOD else status_of(problem)
    return ErrorForm(
        status,
        orjson.dumps({"error": _inside(route, problem, status)}),
        {**JSON, **retry_after(problem)},
    )


def _inside(route: Route | None, problem: Problem, status: int) -> dict[str, Any]:
    if problem.what in _GATEWAY:
        code, sentence = _GATEWAY[problem.what]
        return {"code": code, "message": sentence}
    if problem.what in _PRESSURE:
        return _pressure(route, problem)
    if problem.what is What.REFUSED:
        return {
            "message": _FILTERED_PROMPT,
            "type": None,
            "param": "prompt",
            "code": "content_filter",
            "status": status,
            "innererror": {
                "code": "ResponsibleAIPolicyViolation",
                "content_filter_result": {
                    **_findings(filtered=True),
                    "jailbreak": {"filtered": False, "detected": False},
                },
            },
        }
    return error_object(problem)


def _pressure(route: Route | None, problem: Problem) -> dict[str, str]:
    seconds = max(1, -int(-(problem.details.retry_after_s or 1.0) // 1))
    operation = _OPERATIONS.get(route.operation if route else Operation.CHAT, "Create")
    limit = "token rate limit" if problem.what is What.TOKENS else "call rate limit"
    return {
        "code": "429" if route and route.style else "RateLimitReached",
        "message": f"Requests to the {operation} Operation under Azure OpenAI API have exceeded "
        f"{limit} of your current OpenAI S0 pricing tier. Please retry after {seconds} seconds.",
    }


def prompt_results() -> list[dict[str, Any]]:
    """Nothing was found in a prompt that is answered."""
    found = {**_findings(filtered=False), "jailbreak": {"filtered": False, "detected": False}}
    return [{"prompt_index": 0, "content_filter_results": found}]


def text_results(*, filtered: bool) -> dict[str, Any]:
    """What was found in an answer."""
    return _findings(filtered=filtered)


def _findings(*, filtered: bool) -> dict[str, Any]:
    found: dict[str, Any] = {name: {"filtered": False, "severity": "safe"} for name in _CATEGORIES}
    if filtered:
        found["violence"] = {"filtered": True, "severity": "high"}
    return found
