"""The dialect of OpenAI, Azure's /v1, CoreWeave, vLLM: chat, embeddings and images.

https://platform.openai.com/docs/api-reference; error forms as facts of the providers' SDKs.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from broker.core.retries import RetryTable
from broker.records.usage import Usage
from broker.records.work import Work
from broker.settings.providers import ProviderSettings, ServedModel
from workers.providers.dialect import (
    Answer,
    Assembler,
    ErrorReply,
    HttpRequest,
    LimitsSeen,
    MalformedReplyError,
    Reply,
)
from workers.providers.openai_errors import OPENAI, error_in
from workers.providers.openai_reply import answer_of, count_of
from workers.providers.openai_stream import ChatAssembler
from workers.providers.rate_headers import limits_of, retry_after, should_retry

PATHS: Final[Mapping[str, str]] = {
    "chat": "/chat/completions",
    "embedding": "/embeddings",
    "image": "/images/generations",
}

JSON: Final[Mapping[str, str]] = {"Content-Type": "application/json"}

OURS: Final = frozenset(
    {
        *("id", "tenant", "kind", "model", "priority", "deadline", "timeout_s", "provider"),
        *("metadata", "stream", "stream_options", "prompt", "input", "messages"),
        "max_output_tokens",
    }
)
"""Fields that mean something to the broker, or that are written anew here. `metadata` is echoed to
the sender and never leaves for a provider; every other field is passed on as it is."""


class OpenAI:
    """The adapter; without state."""

    retries: RetryTable = OPENAI
    root: str = "/v1"

    def __init__(self, provider: ProviderSettings) -> None:
        self._provider = provider

    def key_header(self, key: str) -> tuple[str, str]:
        """As a bearer token."""
        return "Authorization", f"Bearer {key}"

    def request(self, work: Work, served: ServedModel) -> HttpRequest:
        """Ask with OpenAI's names; a plain `prompt` becomes a user's message."""
        fields = work.fields
        body: dict[str, Any] = {"model": served.name}
        streamed = work.stream and work.kind == "chat"
        if work.kind == "chat":
            body["messages"] = _messages(fields)
            limit = fields.get("max_output_tokens")
            if limit is not None:
                body["max_completion_tokens"] = limit
            if streamed:
                options = fields.get("stream_options")
                body["stream"] = True
                body["stream_options"] = {
                    **(options if isinstance(options, dict) else {}),
                    "include_usage": True,
                }
        elif work.kind == "embedding":
            body["input"] = _first(fields, "input", "prompt")
        else:
            body["prompt"] = fields.get("prompt")
        body.update((name, value) for name, value in fields.items() if name not in OURS)
        return HttpRequest(PATHS[work.kind], JSON, orjson.dumps(body), streamed)

    def answer(self, work: Work, reply: Reply) -> Answer:
        """Read a whole reply; an error with a good status is an error all the same."""
        try:
            data = orjson.loads(reply.body)
        except orjson.JSONDecodeError as error:
            raise MalformedReplyError("The reply is not JSON.") from error
        if not isinstance(data, dict):
            raise MalformedReplyError("The reply is not a JSON object.")
        if data.get("error"):
            raise error_in(data, 200)
        if work.kind == "chat":
            return answer_of(data)
        if not isinstance(data.get("data"), list):
            raise MalformedReplyError("The reply has no `data`.")
        usage = data.get("usage")
        usage = usage if isinstance(usage, dict) else {}
        return Answer(
            text=None,
            body=data,
            usage=Usage(
                count_of(usage.get("prompt_tokens", usage.get("input_tokens"))),
                count_of(usage.get("output_tokens", 0)),
            ),
            finish_reason="stop",
        )

    def assembler(self, work: Work) -> Assembler:
        """A stream is whole when each of the `n` wanted choices has ended."""
        wanted = work.fields.get("n")
        return ChatAssembler(wanted if isinstance(wanted, int) and wanted > 0 else 1)

    def error(self, reply: Reply) -> ErrorReply:
        """Read an error in whatever form it came."""
        try:
            data = orjson.loads(reply.body)
        except orjson.JSONDecodeError:
            data = None
        error = error_in(data, reply.status, retry_after(reply.headers))
        error.should_retry = should_retry(reply.headers)
        return error

    def limits(self, headers: Mapping[str, str]) -> LimitsSeen | None:
        """As `x-ratelimit-*` says."""
        return limits_of(headers)

    def notes(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """Nothing."""
        del headers
        return {}


def _first(fields: Mapping[str, Any], *names: str) -> Any:
    return next((fields[name] for name in names if fields.get(name) is not None), None)


def _messages(fields: Mapping[str, Any]) -> Any:
    if fields.get("messages") is not None:
        return fields["messages"]
    return [{"role": "user", "content": _first(fields, "prompt", "input")}]
