"""OpenAI's dialect: chat, responses, pictures, embeddings and models under `/v1`. Pure.

https://platform.openai.com/docs/api-reference
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from workers.simulator.asked import Asked, ChatAsked, PicturesAsked, VectorsAsked
from workers.simulator.forms.openai_chat_reply import ChatEvents, whole_chat
from workers.simulator.forms.openai_chat_request import read_chat
from workers.simulator.forms.openai_errors import duration, error_form
from workers.simulator.forms.openai_pictures import PictureEvents, read_pictures, whole_pictures
from workers.simulator.forms.openai_responses_reply import ResponseEvents, whole_response
from workers.simulator.forms.openai_responses_request import read_response
from workers.simulator.forms.openai_vectors import read_vectors, whole_vectors
from workers.simulator.forms.shape import (
    EVENTS,
    ErrorForm,
    Events,
    Head,
    Operation,
    Place,
    Route,
)
from workers.simulator.made import Completion, Made, Pictures, Vectors
from workers.simulator.minute_limits import Left
from workers.simulator.problems import Details, Problem, What

ROOT: Final = "v1/"
PATHS: Final[Mapping[str, Route]] = {
    "chat/completions": Route(Operation.CHAT),
    "responses": Route(Operation.RESPONSES),
    "images/generations": Route(Operation.IMAGES),
    "embeddings": Route(Operation.VECTORS),
}
_READERS: Final[Mapping[Operation, Callable[[bytes, str | None], Asked]]] = {
    Operation.CHAT: read_chat,
    Operation.RESPONSES: read_response,
    Operation.IMAGES: read_pictures,
    Operation.VECTORS: read_vectors,
}
_BEARER: Final = "bearer "


class OpenAIForms:
    """The dialect at one cloud; the other vendors that speak it change what they change."""

    paths: Mapping[str, Route] = PATHS

    def __init__(self, place: Place) -> None:
        self.place = place
        self._since = int(time.time())

    def route(self, method: str, tail: str, query: str) -> Route:
        """`v1/` and what follows."""
        del query
        return self.under(method, tail, ROOT)

    def under(self, method: str, tail: str, root: str) -> Route:
        """Where a path below `root` leads; raises Problem."""
        path = tail.removeprefix(root) if tail.startswith(root) else ""
        found = self.paths.get(path)
        if found is not None:
            if method != "POST":
                raise Problem(What.METHOD, f"Not allowed to {method} on {path}.")
            return found
        if path == "models" or path.startswith("models/"):
            if method != "GET":
                raise Problem(What.METHOD, f"Not allowed to {method} on {path}.")
            return Route(Operation.MODELS, path.partition("/")[2] or None)
        raise Problem(What.NO_SUCH_URL, f"Invalid URL ({method} /{tail})")

    def key(self, headers: Mapping[str, str]) -> str | None:
        """As a bearer token."""
        return bearer(headers)

    def spillover(self, headers: Mapping[str, str]) -> str | None:
        """Nobody."""
        del headers
        return None

    def read(self, route: Route, body: bytes) -> Asked:
        """What is asked for; raises Problem."""
        return _READERS[route.operation](body, route.model)

    def told(self, route: Route) -> bytes:
        """The list of models, or one of them."""
        if route.model is None:
            listed = [self.model(name) for name in sorted(self.place.models)]
            return orjson.dumps({"object": "list", "data": listed})
        if route.model not in self.place.models:
            raise Problem(What.MODEL, details=Details(model=route.model))
        return orjson.dumps(self.model(route.model))

    def model(self, name: str) -> dict[str, Any]:
        """What is told of a model."""
        return {
            "id": name,
            "object": "model",
            "created": self._since,
            "owned_by": self.place.name,
        }

    def whole(self, route: Route, asked: Asked, made: Made) -> bytes:
        """The body of a reply that comes whole."""
        return orjson.dumps(self.reply(route, asked, made))

    def reply(self, route: Route, asked: Asked, made: Made) -> dict[str, Any]:
        """The reply before it is written."""
        match asked, made:
            case ChatAsked(), Completion() if route.operation is Operation.CHAT:
                return whole_chat(made)
            case ChatAsked(), Completion():
                return whole_response(asked, made)
            case PicturesAsked(), Pictures():
                return whole_pictures(asked, made)
            case VectorsAsked(), Vectors():
                return whole_vectors(asked, made)
        raise AssertionError

    def events(self, route: Route, asked: Asked, made: Made) -> Events:
        """The pieces of a streamed one."""
        match asked, made:
            case ChatAsked(), Completion() if route.operation is Operation.CHAT:
                return ChatEvents(made, include_usage=asked.include_usage)
            case ChatAsked(), Completion():
                return ResponseEvents(asked, made)
            case PicturesAsked(), Pictures():
                return PictureEvents(asked, made)
        raise AssertionError

    def stream_headers(self, route: Route) -> Mapping[str, str]:
        """Server-sent events."""
        del route
        return EVENTS

    def head(self, head: Head) -> Mapping[str, str]:
        """The request's id, and the limits with durations such as `6m0s`."""
        found = {"x-request-id": f"req_{head.request_id}", "openai-version": "2020-10-01"}
        for name, given in (("requests", head.requests), ("tokens", head.tokens)):
            if given is not None:
                found.update(limit_headers(name, given, duration(given.reset_s)))
        return found

    def error(self, route: Route | None, problem: Problem) -> ErrorForm:
        """A problem in OpenAI's form."""
        if (
            problem.what is What.REFUSED
            and route is not None
            and route.operation is Operation.IMAGES
        ):
            problem = Problem(What.PICTURE, details=problem.details)
        return error_form(problem)


def bearer(headers: Mapping[str, str]) -> str | None:
    """The token of `Authorization: Bearer`."""
    given = headers.get("Authorization", "")
    return given[len(_BEARER) :] if given[: len(_BEARER)].lower() == _BEARER else None


def limit_headers(name: str, given: Left, reset: str) -> dict[str, str]:
    """The three headers of one limit, with its reset as the vendor writes it."""
    return {
        f"x-ratelimit-limit-{name}": str(given.limit),
        f"x-ratelimit-remaining-{name}": str(given.left),
        f"x-ratelimit-reset-{name}": reset,
    }
