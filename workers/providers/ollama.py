"""The dialect of Ollama's own API: the fifth one, and the example of how to add another.

It differs in everything but the idea: options in an object of their own, pictures beside the text,
arguments of tools as objects, streams of JSON lines, errors of one sentence. Sources: Ollama's
`docs/api.md`, its pages on errors and on streams, and the types of its Python client.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from broker.core.retries import COMMON, CONCURRENCY_LIMIT, Action, RetryTable, Verdict
from broker.records.work import Work
from broker.settings.providers import ProviderSettings, ServedModel
from workers.providers.chat_form import chat_fields, in_responses_form, messages_of
from workers.providers.dialect import (
    Answer,
    Assembler,
    CannotExpressError,
    ErrorReply,
    HttpRequest,
    LimitsSeen,
    MalformedReplyError,
    Reply,
)
from workers.providers.lacking import only_known_forms, refuse_what_it_lacks
from workers.providers.ollama_messages import ollama_messages
from workers.providers.ollama_stream import LineAssembler
from workers.providers.openai_errors import error_of
from workers.providers.openai_media import embeddings_of

OLLAMA: Final[RetryTable] = COMMON.with_rows(
    by_code={"unsupported_operation": Verdict(Action.MOVE)}
)

_OPTIONS: Final = frozenset(
    {
        *("seed", "temperature", "top_p", "top_k", "min_p", "presence_penalty"),
        *("frequency_penalty", "repeat_penalty", "num_ctx"),
    }
)
"""Fields that have the same name there, but in `options`."""

_REFUSED: Final[Mapping[str, str]] = {
    "audio": "spoken answers",
    "functions": "functions that are no tools",
    "logit_bias": "a bias of tokens",
    "prediction": "a predicted answer",
    "web_search_options": "a search of the web",
}

_WRITTEN: Final = _OPTIONS | {
    *("id", "tenant", "kind", "model", "priority", "deadline", "timeout_s", "provider"),
    *("providers", "regions", "max_cost_usd"),
    *("metadata", "stream", "stream_options", "prompt", "input", "messages", "instructions"),
    *("max_output_tokens", "max_completion_tokens", "max_tokens", "stop", "options", "n"),
    *("response_format", "reasoning_effort", "tool_choice", "tools", "dimensions"),
    *("encoding_format", "truncate", "modalities", *_REFUSED),
}
"""Fields that are the broker's, or that are written anew here; every other is passed on."""


class Ollama:
    """The adapter."""

    retries: RetryTable = OLLAMA
    root: str = ""

    def __init__(self, provider: ProviderSettings) -> None:
        del provider

    def key_header(self, key: str) -> tuple[str, str]:
        """As a bearer token; a server of one's own needs none."""
        return "Authorization", f"Bearer {key}"

    def request(self, work: Work, served: ServedModel) -> HttpRequest:
        """Ask by `/api/chat` or `/api/embed`."""
        refuse_what_it_lacks(work, served)
        if work.kind == "image":
            raise CannotExpressError("Ollama makes no pictures.")
        with only_known_forms():
            return self._request(work, served)

    def _request(self, work: Work, served: ServedModel) -> HttpRequest:
        body: dict[str, Any] = {"model": served.name}
        if work.kind == "embedding":
            fields = work.fields
            path, streamed = "/api/embed", False
            body["input"] = fields["input" if fields.get("input") is not None else "prompt"]
            # What is too long is an error, as elsewhere; by itself it would be cut in silence.
            body["truncate"] = fields.get("truncate") is True
            if fields.get("dimensions") is not None:
                body["dimensions"] = fields["dimensions"]
        else:
            path, streamed = "/api/chat", work.stream
            fields = chat_fields(work.fields) if in_responses_form(work.fields) else work.fields
            _refuse(fields)
            body["messages"] = ollama_messages(messages_of(work.fields))
            body["stream"] = streamed
            body.update(_chat(fields))
        options = _options(fields)
        if options:
            body["options"] = options
        body.update((name, value) for name, value in fields.items() if name not in _WRITTEN)
        return HttpRequest(path, _HEADERS, orjson.dumps(body), streamed)

    def answer(self, work: Work, reply: Reply) -> Answer:
        """Read a whole reply: a chat is a stream of one line."""
        if work.kind == "chat":
            assembler = LineAssembler()
            assembler.feed(reply.body + b"\n")
            return assembler.answer()
        try:
            data = orjson.loads(reply.body)
            rows = [
                {"object": "embedding", "index": index, "embedding": embedding}
                for index, embedding in enumerate(data["embeddings"])
            ]
            body = {"object": "list", "model": data.get("model"), "data": rows}
            body["usage"] = {"prompt_tokens": data.get("prompt_eval_count")}
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise MalformedReplyError("The reply is not a list of embeddings.") from error
        return embeddings_of(body, work.fields)

    def assembler(self, work: Work) -> Assembler:
        """One that reads lines."""
        del work
        return LineAssembler()

    def error(self, reply: Reply) -> ErrorReply:
        """An error is a sentence and a status; some sentences say what a code would."""
        error = error_of(reply)
        said = error.message.lower()
        if "maximum pending requests exceeded" in said:
            error.code = CONCURRENCY_LIMIT
        elif "does not support" in said:
            error.code = "unsupported_operation"
        elif "exceeds the context length" in said or "exceeds maximum context length" in said:
            error.code = "context_length_exceeded"
        return error

    def limits(self, headers: Mapping[str, str]) -> LimitsSeen | None:
        """It tells none."""
        del headers
        return None

    def notes(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """Nothing."""
        del headers
        return {}


_HEADERS: Final[Mapping[str, str]] = {"Content-Type": "application/json"}


def _refuse(fields: Mapping[str, Any]) -> None:
    for name, what in _REFUSED.items():
        if fields.get(name):
            raise CannotExpressError(f"Ollama knows no {what}, and `{name}` asks for it.")
    if (fields.get("n") or 1) != 1:
        raise CannotExpressError("Ollama makes one answer, and `n` asks for more.")
    if fields.get("tools") and fields.get("tool_choice") not in (None, "auto", "none"):
        raise CannotExpressError("Ollama's models choose tools themselves; `tool_choice` forces.")


def _chat(fields: Mapping[str, Any]) -> dict[str, Any]:
    """What is neither an option nor a message."""
    body: dict[str, Any] = {}
    if fields.get("tools") and fields.get("tool_choice") != "none":
        body["tools"] = fields["tools"]
    form = fields.get("response_format")
    if isinstance(form, Mapping) and form.get("type") == "json_object":
        body["format"] = "json"
    elif isinstance(form, Mapping) and form.get("type") == "json_schema":
        schema = form.get("json_schema")
        body["format"] = schema.get("schema") if isinstance(schema, Mapping) else schema
    effort = fields.get("reasoning_effort")
    if effort is not None:
        body["think"] = False if effort == "none" else effort
    return body


def _options(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The prompt's own `options`, and OpenAI's fields by their names there."""
    own = fields.get("options")
    options = dict(own) if isinstance(own, Mapping) else {}
    options.update((name, fields[name]) for name in _OPTIONS if fields.get(name) is not None)
    for name in ("max_output_tokens", "max_completion_tokens", "max_tokens"):
        if fields.get(name) is not None:
            options.setdefault("num_predict", fields[name])
    stop = fields.get("stop")
    if stop is not None:
        options["stop"] = [stop] if isinstance(stop, str) else stop
    return options
