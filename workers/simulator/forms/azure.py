"""Azure's dialect of OpenAI's forms: two kinds of paths, content filters, its own errors. Pure.

Paths are `/openai/v1/...`, where `model` is the deployment, and the older
`/openai/deployments/DEPLOYMENT/...?api-version=`. Sources: the Python SDK's `openai/lib/azure.py`
for paths and keys; Microsoft's pages on quotas, content filtering and spillover; error bodies that
users have published.
"""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qs, unquote

import orjson

from workers.simulator.asked import Asked
from workers.simulator.forms.azure_errors import azure_error, prompt_results, text_results
from workers.simulator.forms.openai import PATHS, OpenAIForms, bearer, limit_headers
from workers.simulator.forms.openai_chat_reply import ChatEvents
from workers.simulator.forms.shape import ErrorForm, Events, Head, Operation, Route
from workers.simulator.made import FILTERED, Completion, Made
from workers.simulator.problems import Problem, What

ROOT: Final = "openai/"
V1: Final = "openai/v1/"
DEPLOYMENTS: Final = "openai/deployments/"
OLDER: Final = "deployments"
"""The style of the form with deployments in its paths."""
REGION: Final = "Simulated Region"


class AzureForms(OpenAIForms):
    """The dialect at one cloud."""

    def route(self, method: str, tail: str, query: str) -> Route:
        """Either form; the older one needs its `api-version`."""
        if tail.startswith(V1):
            return self.under(method, tail, V1)
        if not parse_qs(query).get("api-version"):
            raise Problem(What.NO_SUCH_URL)
        if not tail.startswith(DEPLOYMENTS):
            return self.under(method, tail, ROOT)
        deployment, _, path = tail.removeprefix(DEPLOYMENTS).partition("/")
        found = PATHS.get(path)
        if found is None or found.operation is Operation.RESPONSES or method != "POST":
            raise Problem(What.NO_SUCH_URL)
        return Route(found.operation, unquote(deployment), OLDER)

    def key(self, headers: Mapping[str, str]) -> str | None:
        """In `api-key`, or a token as any bearer has it."""
        return headers.get("api-key") or bearer(headers)

    def spillover(self, headers: Mapping[str, str]) -> str | None:
        """A standard deployment, for a provisioned one without room."""
        return headers.get("x-ms-spillover-deployment")

    def model(self, name: str) -> dict[str, Any]:
        """What is told of a model."""
        return {
            **super().model(name),
            "status": "succeeded",
            "lifecycle_status": "generally-available",
            "capabilities": {"chat_completion": True, "inference": True},
        }

    def reply(self, route: Route, asked: Asked, made: Made) -> dict[str, Any]:
        """As OpenAI's, with what the filters found."""
        reply = super().reply(route, asked, made)
        if route.operation is Operation.CHAT and isinstance(made, Completion):
            reply["prompt_filter_results"] = prompt_results()
            results = text_results(filtered=made.finish_reason == FILTERED)
            for choice in reply["choices"]:
                choice["content_filter_results"] = results
        return reply

    def events(self, route: Route, asked: Asked, made: Made) -> Events:
        """As OpenAI's, with what the filters found."""
        if route.operation is Operation.CHAT and isinstance(made, Completion):
            return AzureEvents(made, include_usage=getattr(asked, "include_usage", False))
        return super().events(route, asked, made)

    def head(self, head: Head) -> Mapping[str, str]:
        """Azure's ids, who answered, and limits whose resets are whole seconds."""
        found = {
            "apim-request-id": head.request_id,
            "x-request-id": head.request_id,
            "x-ms-region": REGION,
            "x-ms-deployment-name": head.spilled_to or head.model,
        }
        if head.spilled_to is not None:
            found["x-ms-spillover-from-deployment"] = head.model
        for name, given in (("requests", head.requests), ("tokens", head.tokens)):
            if given is not None:
                found.update(limit_headers(name, given, str(-int(-given.reset_s // 1))))
                found[f"x-ratelimit-renewalperiod-{name}"] = "60"
        return found

    def error(self, route: Route | None, problem: Problem) -> ErrorForm:
        """A problem in Azure's form."""
        return azure_error(route, problem)


class AzureEvents(ChatEvents):
    """A streamed completion with the findings of the filters."""

    __slots__ = ()

    def opening(self) -> bytes:
        """First what was found in the prompt, in a chunk that has nothing else."""
        first = {
            "choices": [],
            "created": 0,
            "id": "",
            "model": "",
            "object": "",
            "prompt_filter_results": prompt_results(),
        }
        return b"data: " + orjson.dumps(first) + b"\n\n" + super().opening()

    def _choice(
        self, index: int, delta: dict[str, Any], reason: str | None = None
    ) -> dict[str, Any]:
        choice = super()._choice(index, delta, reason)
        bare = reason is None and not delta.get("content")
        filtered = reason == FILTERED
        choice["content_filter_results"] = {} if bare else text_results(filtered=filtered)
        return choice
