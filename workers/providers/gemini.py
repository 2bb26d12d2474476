"""The dialect of Google's Vertex AI: Gemini's chat, streams and pictures, and embeddings.

https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference; paths and bodies
are those of the official SDK (`google-genai`, in Vertex mode). What differs from it on purpose is
one table in tests/wire/test_gemini.py.
"""

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import orjson

from broker.core.retries import RetryTable
from broker.records.errors import UsageError
from broker.records.work import Work
from broker.settings.providers import ProviderSettings, ServedModel
from workers.providers.dialect import (
    Answer,
    Assembler,
    CannotExpressError,
    ErrorReply,
    HttpRequest,
    LimitsSeen,
    Reply,
)
from workers.providers.gemini_embeddings import (
    EMBED_CONTENT,
    PREDICT,
    embedding_answer,
    embedding_request,
)
from workers.providers.gemini_errors import RETRIES, error_of
from workers.providers.gemini_image import image_answer, image_body
from workers.providers.gemini_reply import chat_answer
from workers.providers.gemini_request import chat_body
from workers.providers.gemini_stream import GeminiAssembler
from workers.providers.lacking import refuse_what_it_lacks
from workers.providers.rate_headers import limits_of

_JSON: Final[Mapping[str, str]] = {"Content-Type": "application/json"}
_SIMULATED: Final = "simulated"
_SIMULATED_LENGTH: Final = "simulated_output_tokens"
"""A field of ours that only our stand-in for Vertex knows; Vertex would refuse the whole call."""
_GLOBAL: Final = "global"
_LOCATION_IN_HOST: Final = re.compile(
    r"https?://(?:([a-z0-9-]+)-aiplatform\.|aiplatform\.([a-z0-9-]+)\.rep\.)"
)


class Gemini:
    """The adapter; without state."""

    retries: RetryTable = RETRIES
    root: str = ""

    def __init__(self, provider: ProviderSettings) -> None:
        """Raises UsageError for a model's unknown `api`, and for credentials without a project."""
        for alias, served in provider.models.items():
            if served.api not in (None, PREDICT, EMBED_CONTENT):
                raise UsageError(
                    f"The model {alias!r} has the api {served.api!r}, which this dialect has not.",
                    mend=f"Known are, for embeddings: {PREDICT}, {EMBED_CONTENT}.",
                )
        self._scope = _scope_of(provider)
        self._simulated = provider.base_url is None

    def key_header(self, key: str) -> tuple[str, str]:
        """Google's own header."""
        return "x-goog-api-key", key

    def request(self, work: Work, served: ServedModel) -> HttpRequest:
        """Ask in Gemini's words; raises CannotExpressError."""
        refuse_what_it_lacks(work, served)
        body: dict[str, Any]
        streamed = False
        if work.kind == "chat":
            streamed = work.stream
            method = "streamGenerateContent?alt=sse" if streamed else "generateContent"
            body = chat_body(work.fields, served)
            length = work.fields.get(_SIMULATED_LENGTH)
            if self._simulated and length is not None:
                body[_SIMULATED_LENGTH] = length
        elif work.kind == "embedding":
            method, body = embedding_request(work.fields, served)
        else:
            method, body = "generateContent", image_body(work.fields)
        try:
            data = orjson.dumps(body)
        except TypeError:
            # JSON inside a text (arguments, a tool's result) may be nested deeper than a prompt.
            raise CannotExpressError("A call of a tool is nested too deep.") from None
        path = f"/v1/{_resource(self._scope, served.name)}:{method}"
        return HttpRequest(path, _JSON, data, streamed)

    def answer(self, work: Work, reply: Reply) -> Answer:
        """Read a whole reply; a blocked prompt comes with a good status and is a refusal."""
        if work.kind == "chat":
            return chat_answer(work, reply.body)
        if work.kind == "embedding":
            return embedding_answer(work, reply.body)
        return image_answer(work, reply.body)

    def assembler(self, work: Work) -> Assembler:
        """A stream holds one answer."""
        return GeminiAssembler(work)

    def error(self, reply: Reply) -> ErrorReply:
        """Read an error in Google's form."""
        return error_of(reply)

    def limits(self, headers: Mapping[str, str]) -> LimitsSeen | None:
        """Vertex itself says nothing; a gateway before it may, in the usual spelling."""
        return limits_of(headers)

    def notes(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """How the traffic was paid for stands in the body."""
        del headers
        return {}


def _scope_of(provider: ProviderSettings) -> str:
    """What stands before the model in a path: the project and where it is served.

    With a key and without a project it is Vertex' express mode, whose paths name neither. A
    location that is not in the settings is that of the host.
    """
    project, location = provider.project, provider.location
    if project is None:
        if provider.base_url is None:
            project = _SIMULATED
        elif provider.auth == "google":
            raise UsageError(
                "A provider of the dialect gemini with Google's credentials has no `project`.",
                mend="Name the Google Cloud project in its settings.",
            )
        else:
            return ""
    if location is None:
        found = _LOCATION_IN_HOST.match(provider.base_url or "")
        location = _GLOBAL if found is None else found.group(1) or found.group(2)
    return f"projects/{quote(project, safe='')}/locations/{quote(location, safe='')}/"


def _resource(scope: str, name: str) -> str:
    """A model's resource, as the official SDK makes it of a short or a whole name."""
    if name.startswith("projects/"):
        return quote(name, safe="/@")
    if name.startswith("publishers/"):
        path = name
    elif "/" in name:
        publisher, _, model = name.partition("/")
        path = f"publishers/{publisher}/models/{model}"
    else:
        path = f"publishers/google/models/{name}"
    return scope + quote(path, safe="/@")
