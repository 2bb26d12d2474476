"""The dialect of OpenAI, and of every server that speaks as it does: chats, pictures, embeddings.

https://platform.openai.com/docs/api-reference, read beside the official SDK's sources.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from broker.core.retries import RetryTable
from broker.records.errors import UsageError
from broker.records.work import Work
from broker.settings.providers import ProviderSettings, ServedModel
from workers.providers.chat_form import chat_fields, in_responses_form, messages_of
from workers.providers.dialect import (
    Answer,
    Assembler,
    ErrorReply,
    HttpRequest,
    LimitsSeen,
    MalformedReplyError,
    Reply,
)
from workers.providers.lacking import only_known_forms, refuse_what_it_lacks
from workers.providers.openai_errors import OPENAI, error_in, error_of
from workers.providers.openai_media import embeddings_of, pictures_of
from workers.providers.openai_reply import answer_of
from workers.providers.openai_responses import responses_body
from workers.providers.openai_responses_reply import answer_of_response
from workers.providers.openai_responses_stream import ResponseAssembler
from workers.providers.openai_stream import ChatAssembler
from workers.providers.rate_headers import limits_of, should_retry

PATHS: Final[Mapping[str, str]] = {
    "chat": "/chat/completions",
    "responses": "/responses",
    "embedding": "/embeddings",
    "image": "/images/generations",
}

OURS: Final = frozenset(
    {
        *("id", "tenant", "kind", "model", "priority", "deadline", "timeout_s", "provider"),
        *("providers", "regions", "max_cost_usd"),
        *("metadata", "stream", "stream_options", "prompt", "input", "messages", "instructions"),
        *("max_output_tokens", "encoding_format"),
    }
)
"""Fields that mean something to the broker, or that are written anew here. `metadata` is echoed to
the sender and never leaves for a provider; every other field is passed on as it is."""

RESPONSES: Final = "responses"
"""`ServedModel.api` of a model that is called in the Responses form."""


class OpenAI:
    """The adapter. Others are made of it by what differs: paths, headers, errors, a name."""

    retries: RetryTable = OPENAI
    root: str = "/v1"
    longest_answer: str = "max_completion_tokens"
    """The field of a chat that bounds its answer."""

    def __init__(self, provider: ProviderSettings) -> None:
        """Raises UsageError for a form of calling that does not exist."""
        for alias, served in provider.models.items():
            if served.api not in (None, "chat", RESPONSES):
                raise UsageError(
                    f"The model {alias!r} has the api {served.api!r}, which this dialect has not.",
                    mend=f"Known are: chat, {RESPONSES}.",
                )
        self._by_responses = frozenset(
            alias for alias, served in provider.models.items() if served.api == RESPONSES
        )
        named = provider.project is not None and provider.auth in ("key", "none")
        project = {"OpenAI-Project": provider.project or ""} if named else {}
        self._headers: Mapping[str, str] = {"Content-Type": "application/json", **project}

    def key_header(self, key: str) -> tuple[str, str]:
        """As a bearer token."""
        return "Authorization", f"Bearer {key}"

    def path(self, form: str, served: ServedModel) -> str:
        """Where a form (a key of PATHS) of this model is asked for."""
        del served
        return PATHS[form]

    def headers(self, served: ServedModel) -> Mapping[str, str]:
        """The headers of a call, without credentials."""
        del served
        return self._headers

    def request(self, work: Work, served: ServedModel) -> HttpRequest:
        """Ask with OpenAI's names; a plain `prompt` becomes a user's message."""
        refuse_what_it_lacks(work, served)
        fields, form = work.fields, work.kind
        streamed = work.stream and form == "chat"
        body: dict[str, Any] = {"model": served.name}
        if form == "chat" and served.api == RESPONSES:
            form = RESPONSES
            with only_known_forms():
                body.update(responses_body(fields, streamed=streamed))
        elif form == "chat":
            self._chat(body, fields, streamed=streamed)
        elif form == "embedding":
            body["input"] = fields["input" if fields.get("input") is not None else "prompt"]
            # Half the room of decimals on every wire that it crosses, the log's included.
            body["encoding_format"] = fields.get("encoding_format") or "base64"
            _pass_on(body, fields)
        else:
            body["prompt"] = fields.get("prompt")
            _pass_on(body, fields)
        return HttpRequest(
            self.path(form, served), self.headers(served), orjson.dumps(body), streamed
        )

    def _chat(self, body: dict[str, Any], fields: Mapping[str, Any], *, streamed: bool) -> None:
        if in_responses_form(fields):
            with only_known_forms():
                body["messages"] = messages_of(fields)
                fields = chat_fields(fields)
        else:
            body["messages"] = messages_of(fields)
        limit = fields.get("max_output_tokens")
        if limit is not None:
            body[self.longest_answer] = limit
        options = fields.get("stream_options")
        if streamed:
            body["stream"] = True
            body["stream_options"] = {
                **(options if isinstance(options, dict) else {}),
                "include_usage": True,
            }
        _pass_on(body, fields)

    def answer(self, work: Work, reply: Reply) -> Answer:
        """Read a whole reply; an error with a good status is an error all the same."""
        try:
            data = orjson.loads(reply.body)
        except orjson.JSONDecodeError as error:
            raise MalformedReplyError("The reply is not JSON.") from error
        if not isinstance(data, dict):
            raise MalformedReplyError("The reply is not a JSON object.")
        if data.get("error") or data.get("object") == "error":
            raise error_in(data, reply.status)
        if work.kind == "chat":
            return answer_of_response(data) if work.model in self._by_responses else answer_of(data)
        if work.kind == "embedding":
            return embeddings_of(data, work.fields)
        return pictures_of(data)

    def assembler(self, work: Work) -> Assembler:
        """A stream is whole when each of the `n` wanted choices has ended."""
        if work.model in self._by_responses:
            return ResponseAssembler()
        wanted = work.fields.get("n")
        return ChatAssembler(wanted if isinstance(wanted, int) and wanted > 0 else 1)

    def error(self, reply: Reply) -> ErrorReply:
        """Read an error in whatever form it came."""
        error = error_of(reply)
        error.should_retry = should_retry(reply.headers)
        return error

    def limits(self, headers: Mapping[str, str]) -> LimitsSeen | None:
        """As `x-ratelimit-*` says."""
        return limits_of(headers)

    def notes(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """Nothing."""
        del headers
        return _NO_NOTES


_NO_NOTES: Final[Mapping[str, str]] = {}


def _pass_on(body: dict[str, Any], fields: Mapping[str, Any]) -> None:
    body.update((name, value) for name, value in fields.items() if name not in OURS)
