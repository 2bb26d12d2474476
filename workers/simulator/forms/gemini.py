"""Google's dialect, as Vertex AI speaks it: methods on the models of a project. Pure.

`/v1/projects/P/locations/L/publishers/google/models/M:METHOD`, also below `/v1beta1`, which is what
google-genai uses, and without a project, as with keys of the express mode.
"""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qs, unquote

import orjson

from workers.simulator.asked import Asked
from workers.simulator.forms.gemini_errors import gemini_error
from workers.simulator.forms.gemini_reply import (
    ContentEvents,
    counted,
    embedded,
    predicted,
    whole_content,
)
from workers.simulator.forms.gemini_request import read_content, read_count
from workers.simulator.forms.gemini_vectors import read_embed, read_embeds, read_predict
from workers.simulator.forms.openai import bearer
from workers.simulator.forms.shape import ErrorForm, Events, Head, Operation, Place, Route
from workers.simulator.made import Completion, Count, Made, Pictures, Vectors
from workers.simulator.problems import Details, Problem, What

_PATH: Final = re.compile(
    r"v1(?:beta1)?/(?:projects/[^/]+/locations/[^/]+/)?publishers/(?P<publisher>[^/]+)/"
    r"models/(?P<model>[^/:]+)(?::(?P<method>[A-Za-z]+))?"
)
_OWN: Final = "google"
WHOLE: Final = "whole"
EVENTS: Final = "sse"
ARRAY: Final = "array"
PREDICT: Final = "predict"
EMBED: Final = "embed"
BATCH: Final = "batch"
"""Styles of routes: how an answer comes, or which form embeddings have."""
_METHODS: Final[Mapping[str, tuple[Operation, str]]] = {
    "generateContent": (Operation.CONTENT, WHOLE),
    "streamGenerateContent": (Operation.CONTENT, ARRAY),
    "predict": (Operation.VECTORS, PREDICT),
    "embedContent": (Operation.VECTORS, EMBED),
    "batchEmbedContents": (Operation.VECTORS, BATCH),
    "countTokens": (Operation.COUNT, ""),
}


class GeminiForms:
    """The dialect at one cloud."""

    def __init__(self, place: Place) -> None:
        self.place = place

    def route(self, method: str, tail: str, query: str) -> Route:
        """A method of a model, or what a model is; raises Problem."""
        found = _PATH.fullmatch(tail)
        if found is None:
            raise Problem(What.NO_SUCH_URL)
        model, called = unquote(found["model"]), found["method"]
        if found["publisher"] != _OWN:
            model = f"{found['publisher']}/{model}"
        if called is None and method == "GET":
            return Route(Operation.MODELS, model)
        if called not in _METHODS or method != "POST":
            raise Problem(What.METHOD)
        operation, style = _METHODS[called]
        if style == ARRAY and parse_qs(query).get("alt") == ["sse"]:
            style = EVENTS
        return Route(operation, model, style)

    def key(self, headers: Mapping[str, str]) -> str | None:
        """A token, or a key of the express mode."""
        return bearer(headers) or headers.get("x-goog-api-key")

    def spillover(self, headers: Mapping[str, str]) -> str | None:
        """Nobody."""
        del headers
        return None

    def read(self, route: Route, body: bytes) -> Asked:
        """What is asked for; raises Problem."""
        model = route.model or ""
        match route.style:
            case "predict":
                return read_predict(body, model)
            case "embed":
                return read_embed(body, model)
            case "batch":
                return read_embeds(body, model)
            case "":
                return read_count(body, model)
        return read_content(body, model, streamed=route.style != WHOLE)

    def told(self, route: Route) -> bytes:
        """What a model is."""
        if route.model not in self.place.models:
            raise Problem(What.MODEL, details=Details(model=route.model or ""))
        name = f"publishers/google/models/{route.model}"
        return orjson.dumps({"name": name, "versionId": "001", "launchStage": "GA"})

    def whole(self, route: Route, asked: Asked, made: Made) -> bytes:
        """The body of a reply that comes whole."""
        del asked
        match made:
            case Completion() | Pictures():
                return orjson.dumps(whole_content(made))
            case Vectors() if route.style == PREDICT:
                return orjson.dumps(predicted(made))
            case Vectors():
                return orjson.dumps(embedded(made, several=route.style == BATCH))
            case Count():
                return orjson.dumps(counted(made))

    def events(self, route: Route, asked: Asked, made: Made) -> Events:
        """The pieces of a streamed one."""
        del asked
        if isinstance(made, Completion | Pictures):
            return ContentEvents(made, array=route.style == ARRAY)
        raise AssertionError

    def stream_headers(self, route: Route) -> Mapping[str, str]:
        """Server-sent events, or a JSON array."""
        kind = "text/event-stream" if route.style == EVENTS else "application/json; charset=UTF-8"
        return {"Content-Type": kind}

    def head(self, head: Head) -> Mapping[str, str]:
        """Nothing of limits, and no id."""
        del head
        return {"Server": "scaffolding on HTTPServer2"}

    def error(self, route: Route | None, problem: Problem) -> ErrorForm:
        """A problem in Google's form."""
        style = "" if route is None else route.style
        return gemini_error(problem, array=style == ARRAY, events=style == EVENTS)
