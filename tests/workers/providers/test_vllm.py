"""vLLM's errors in all their forms, and what the serverless service means by its own."""

from typing import Any

import orjson
import pytest

from broker.core.retries import Action, verdict
from broker.settings.providers import ProviderSettings, ServedModel
from tests.workers.building import work
from tests.workers.providers.stream_joining import event
from workers.providers.dialect import CannotExpressError, ErrorReply, Reply
from workers.providers.registry import adapter_for

ADAPTER = adapter_for(ProviderSettings(dialect="vllm"))


def error_of(body: Any, status: int) -> ErrorReply:
    return ADAPTER.error(Reply(status, {}, orjson.dumps(body)))


@pytest.mark.parametrize(
    "code", [404, "404", None], ids=["a number", "a number as text", "no code"]
)
@pytest.mark.parametrize("nested", [True, False], ids=["nested", "flat"])
def test_codes_that_repeat_the_status_are_no_words(code: object, *, nested: bool) -> None:
    error = {"message": "No such model.", "type": "NotFoundError", "param": None, "code": code}
    got = error_of({"error": error} if nested else {"object": "error", **error}, 404)
    assert (got.code, got.type, got.message) == (None, "NotFoundError", "No such model.")
    assert verdict(404, got.code, table=ADAPTER.retries).action is Action.MOVE


@pytest.mark.parametrize(
    ("status", "message", "code", "action", "spent"),
    [
        (429, "Concurrency limit reached for requests", "concurrency_limit", Action.RETRY, False),
        (429, "You exceeded your current quota, ...", "insufficient_quota", Action.MOVE, True),
        (402, "You exceeded your current quota, ...", None, Action.MOVE, True),
        (401, "Authentication failed", None, Action.MOVE, True),
        (403, "Country, region, or territory not supported", None, Action.MOVE, True),
        (429, "Too many requests", None, Action.RETRY, False),
        (500, "The server had an error", None, Action.RETRY, False),
        (503, "The engine is currently overloaded", None, Action.RETRY, False),
        (
            *(400, "This model's maximum context length is 4096 tokens."),
            *("context_length_exceeded", Action.MOVE, False),
        ),
    ],
)
def test_sentences_without_a_code_mean_what_they_say(
    status: int,
    message: str,
    code: str | None,
    action: Action,
    spent: bool,  # noqa: FBT001 - a column of the table
) -> None:
    got = error_of({"error": {"message": message, "code": status}}, status)
    assert got.code == code
    row = verdict(status, got.code, table=ADAPTER.retries)
    assert (row.action, row.spent) == (action, spent)


@pytest.mark.parametrize(
    "told",
    [
        {"error": {"message": "m", "type": "BadRequestError", "code": 400}},
        {"object": "error", "message": "m", "type": "BadRequestError", "code": 400},
    ],
)
def test_the_number_in_a_streams_error_is_its_status(told: dict[str, Any]) -> None:
    with pytest.raises(ErrorReply) as caught:
        ADAPTER.assembler(work()).feed(event(told))
    assert (caught.value.status, caught.value.code, caught.value.message) == (400, None, "m")
    with pytest.raises(ErrorReply) as caught:
        ADAPTER.answer(work(), Reply(200, {}, orjson.dumps(told)))
    assert caught.value.status == 400


def test_the_bound_of_an_answer_has_its_older_name() -> None:
    fields = {"max_output_tokens": 9, "top_k": 5}
    request = ADAPTER.request(work(fields=fields), ServedModel(name="m"))
    body = orjson.loads(request.body)
    assert (body["max_tokens"], body["top_k"]) == (9, 5)
    assert "max_completion_tokens" not in body


@pytest.mark.parametrize("dialect", ["openai", "azure", "vllm", "ollama"])
@pytest.mark.parametrize(
    ("lacks", "fields"),
    [
        ("tools", {"tools": [{"type": "function"}]}),
        ("images_in", {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}),
        ("json_schema", {"response_format": {"type": "json_schema"}}),
        ("n", {"n": 2}),
        ("stream", {"stream": True}),
    ],
)
def test_what_a_model_lacks_by_its_settings_is_refused_in_every_dialect(
    dialect: str, lacks: Any, fields: dict[str, Any]
) -> None:
    adapter = adapter_for(ProviderSettings(dialect=dialect))
    served = ServedModel(name="small", lacks=frozenset({lacks}))
    with pytest.raises(CannotExpressError, match="small knows no"):
        adapter.request(work(fields=fields), served)
    adapter.request(work(), served)
