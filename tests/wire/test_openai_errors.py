"""What errors mean to us, beside what the official SDK makes of the same replies."""

from collections.abc import Mapping
from typing import Any, Final

import openai
import pytest

from broker.core.retries import Action, Failure, RetryRules, next_step
from tests.wire.openai_comparing import DIALECTS, MODEL, ours
from tests.wire.openai_prompts import events
from tests.wire.recording import Recording
from workers.calling import CallResult
from workers.providers.registry import adapter_for

RETRIED_OTHERWISE: Final[Mapping[tuple[int, str | None], str]] = {
    (501, None): "what a server has not, it has not in a second; another provider may",
    (425, None): "too early says of itself that it may be asked again (RFC 8470)",
    (429, "insufficient_quota"): "waiting does not fill an account",
    (429, "project_spend_limit_exceeded"): "waiting does not raise a limit",
}
"""Where we retry and the SDK does not, or the other way, and why."""

TRIED = (
    *((status, None) for status in (400, 401, 402, 403, 404, 408, 409, 413, 422, 425, 429)),
    *((status, None) for status in (500, 501, 503, 504)),
    *((429, code) for code in ("insufficient_quota", "project_spend_limit_exceeded", "slow_down")),
)
JUDGED = {(402, None), (429, "insufficient_quota")}
"""What a word of the provider does not change: the account is spent."""
BODIES: Final[Mapping[str, Any]] = {
    "nested": {"error": {"message": "m", "type": "t", "param": None, "code": "some_code"}},
    "nested, a number": {"error": {"message": "m", "type": "t", "code": 400}},
    "nested, without code": {"error": {"message": "m", "type": "t", "code": None}},
    "flat": {"object": "error", "message": "m", "type": "t", "code": "some_code"},
    "a text": {"error": "m"},
}


def failed(server: Recording, dialect: str = "openai", **fields: Any) -> CallResult:
    result = ours(server, DIALECTS[dialect], {"prompt": "Why?", **fields})
    assert result.answer is None
    return result


def we_retry(result: CallResult, dialect: str = "openai") -> bool:
    """Whether the same provider is asked again."""
    rules = RetryRules(table=adapter_for(DIALECTS[dialect].settings).retries)
    failure = Failure(
        result.status, result.code, result.transport, should_retry=result.should_retry
    )
    return next_step(failure, rules, now=0.0, jitter=0.5).action is Action.RETRY


def sdk_retries(server: Recording, client: openai.OpenAI) -> bool:
    """Whether the SDK asks again, if it may."""
    with pytest.raises(openai.APIStatusError):
        client.with_options(max_retries=1).chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "Why?"}]
        )
    return len(server.asked) > 1


@pytest.mark.parametrize(
    ("status", "code", "told"),
    [
        *((*tried, None) for tried in TRIED),
        *((400, None, word) for word in ("true", "false")),
        *((503, None, word) for word in ("true", "false")),
        *((*judged, "true") for judged in sorted(JUDGED)),
    ],
)
def test_it_is_tried_again_where_the_sdk_would(
    server: Recording,
    sdks: Mapping[str, openai.OpenAI],
    status: int,
    code: str | None,
    told: str | None,
) -> None:
    error = {"error": {"message": "m", "type": "t", "code": code}}
    more = {} if told is None else {"x_should_retry": told}
    server.answers(error, status, retry_after_ms="1", **more)
    theirs = sdk_retries(server, sdks["openai"])
    result = failed(server)
    assert result.retry_after_s == 0.001
    tried = (status, code)
    differs = tried in JUDGED if told == "true" else tried in RETRIED_OTHERWISE
    assert we_retry(result) is (theirs != differs)


@pytest.mark.parametrize("form", BODIES)
@pytest.mark.parametrize("dialect", ["openai", "azure by deployments", "vllm"])
def test_code_type_and_sentence_are_what_the_sdk_reads(
    server: Recording, sdks: Mapping[str, openai.OpenAI], dialect: str, form: str
) -> None:
    server.answers(BODIES[form], 418)
    with pytest.raises(openai.APIStatusError) as caught:
        sdks[dialect].chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "?"}]
        )
    result = failed(server, dialect)
    code = caught.value.code
    assert result.code == (None if code is not None and code.isdigit() else code)
    assert result.kind == (caught.value.type or "provider_error")
    assert result.message == "m"


def test_an_error_in_a_stream_is_the_sdks_error_too(
    server: Recording, sdks: Mapping[str, openai.OpenAI]
) -> None:
    chunk = {"id": "c", "choices": [{"index": 0, "delta": {"content": "x"}}]}
    error = {"error": {"message": "m", "type": "t", "code": "server_is_overloaded"}}
    server.answers(events(chunk, error))
    with (
        pytest.raises(openai.APIError) as caught,
        sdks["openai"].chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "?"}], stream=True
        ) as stream,
    ):
        list(stream)
    result = failed(server, stream=True)
    assert (result.code, result.message) == (caught.value.code, caught.value.message)
    assert we_retry(result)


def test_a_stream_without_a_finish_reason_has_failed_though_the_sdk_takes_it(
    server: Recording, sdks: Mapping[str, openai.OpenAI]
) -> None:
    chunk = {"id": "c", "choices": [{"index": 0, "delta": {"content": "x"}}]}
    server.answers(events(chunk))
    with sdks["openai"].chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "?"}], stream=True
    ) as stream:
        assert [each.choices[0].delta.content for each in stream] == ["x"]
    result = failed(server, stream=True)
    assert result.code == "stream_cut"
    assert we_retry(result)
