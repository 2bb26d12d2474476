"""vLLM's dialect of OpenAI's forms, as one's own GPUs and CoreWeave's serverless speak it. Pure.

Sources: vLLM's OpenAI-compatible server (`ErrorResponse`, `ModelCard`, its key middleware and
FastAPI's own 404 and 405), and Weights & Biases' page on errors of its inference.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from workers.simulator.asked import Asked
from workers.simulator.forms.openai import PATHS, OpenAIForms
from workers.simulator.forms.openai_errors import sentence
from workers.simulator.forms.shape import JSON, ErrorForm, Head, Operation, Route
from workers.simulator.made import Completion, Made
from workers.simulator.problems import Problem, What, status_of

_TYPES: Final[Mapping[What, str]] = {
    What.MODEL: "NotFoundError",
    What.REQUESTS: "RateLimitError",
    What.TOKENS: "RateLimitError",
    What.CONCURRENCY: "RateLimitError",
    What.SPENT: "PaymentRequiredError",
    What.SERVER: "InternalServerError",
    What.HALFWAY: "InternalServerError",
    What.OVERLOADED: "ServiceUnavailableError",
}
_FRAMEWORK: Final[Mapping[What, str]] = {
    What.NO_SUCH_URL: "Not Found",
    What.METHOD: "Method Not Allowed",
}
_SPENT: Final = 402


class VllmForms(OpenAIForms):
    """The dialect at one cloud."""

    paths: Mapping[str, Route] = {
        path: route for path, route in PATHS.items() if route.operation is not Operation.RESPONSES
    }

    def model(self, name: str) -> dict[str, Any]:
        """What is told of a model."""
        return {
            **super().model(name),
            "owned_by": "vllm",
            "root": name,
            "parent": None,
            "max_model_len": self.place.context_tokens,
            "permission": [],
        }

    def reply(self, route: Route, asked: Asked, made: Made) -> dict[str, Any]:
        """As OpenAI's, with what vLLM adds."""
        reply = super().reply(route, asked, made)
        if isinstance(made, Completion):
            reply["service_tier"] = None
            reply["kv_transfer_params"] = None
            for choice in reply["choices"]:
                choice["stop_reason"] = None
                choice["message"].setdefault("tool_calls", [])
        return reply

    def head(self, head: Head) -> Mapping[str, str]:
        """It tells nothing of limits."""
        return {"x-request-id": head.request_id}

    def error(self, route: Route | None, problem: Problem) -> ErrorForm:
        """Nested, or flat as older ones are; codes are numbers, but for what a gateway refuses."""
        del route
        what = problem.what
        if what is What.KEY:
            return ErrorForm(401, orjson.dumps({"error": "Unauthorized"}))
        if what in _FRAMEWORK:
            return ErrorForm(status_of(problem), orjson.dumps({"detail": _FRAMEWORK[what]}))
        status = _SPENT if what is What.SPENT else status_of(problem)
        inner = {
            "message": sentence(problem),
            "type": _TYPES.get(what, "BadRequestError"),
            "param": problem.details.param,
            "code": "content_filter" if what is What.REFUSED else status,
        }
        body = {"object": "error", **inner} if self.place.flat_errors else {"error": inner}
        return ErrorForm(status, orjson.dumps(body), JSON)
