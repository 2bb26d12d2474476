"""OpenAI's own SDK meets every error as the exception that it should be."""

from typing import Any

import openai
import pytest

from tests.simulator.speaking import (
    CHAT,
    DIALECTS,
    IMAGE,
    KEY,
    Speaking,
    four_dialects,
    speaking,
)
from tests.simulator.test_sdk_openai import FORMS, HELLO, client_of, plain, provider_of

FAULTS: list[tuple[dict[str, Any], type[openai.APIStatusError], int]] = [
    ({"rate_limited": 1.0, "retry_after_s": 2.5}, openai.RateLimitError, 429),
    ({"server_errors": 1.0}, openai.InternalServerError, 500),
    ({"server_errors": 1.0, "server_error_status": 502}, openai.InternalServerError, 502),
    ({"outages": [{"to_s": 600}]}, openai.InternalServerError, 503),
    ({"refused": 1.0}, openai.BadRequestError, 400),
    ({"too_long": 1.0}, openai.BadRequestError, 400),
    ({"spent": 1.0}, openai.APIStatusError, 429),
]
BOTH = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
ALL_FORMS = pytest.mark.parametrize("form", FORMS)


def ask(form: str, clouds: Speaking, *, key: str = KEY, **given: Any) -> Any:
    asked: Any = {"model": CHAT, "messages": HELLO, "max_tokens": 60, **given}
    with client_of(form, clouds.url, key) as client:
        answer: Any = client.chat.completions.create(**asked)
        if not asked.get("stream"):
            return answer
        with answer:
            return list(answer)


def refused(form: str, clouds: Speaking, **given: Any) -> openai.APIStatusError:
    with pytest.raises(openai.APIStatusError) as met:
        ask(form, clouds, **given)
    return met.value


@BOTH
@ALL_FORMS
@pytest.mark.parametrize(("fault", "kind", "status"), FAULTS, ids=[str(one[0]) for one in FAULTS])
def test_a_fault_is_its_exception(
    clouds: Speaking,
    form: str,
    fault: dict[str, Any],
    kind: type[openai.APIStatusError],
    status: int,
    *,
    stream: bool,
) -> None:
    clouds.remote.set_faults(provider_of(form), fault)
    met = refused(form, clouds, stream=stream)
    assert isinstance(met, kind)
    expected = 402 if "spent" in fault and form == "coreweave" else status
    assert met.status_code == expected
    assert met.message
    if "rate_limited" in fault and form != "coreweave":
        assert met.response.headers["retry-after"] == "3"
        assert met.response.headers["retry-after-ms"] == "2500"


@ALL_FORMS
def test_a_wrong_key_is_not_let_in(clouds: Speaking, form: str) -> None:
    met = refused(form, clouds, key="another")
    assert isinstance(met, openai.AuthenticationError)
    body: Any = met.body
    shown = {"openai": "invalid_api_key", "azure": "401"}.get(provider_of(form))
    assert body == "Unauthorized" if shown is None else body["code"] == shown
    with (
        client_of(form, clouds.url, "another") as client,
        pytest.raises(openai.AuthenticationError),
    ):
        client.models.list()


def test_a_token_of_entra_is_let_in_as_a_key_is(clouds: Speaking) -> None:
    for token in (KEY, "another"):
        client = openai.AzureOpenAI(
            azure_endpoint=f"{clouds.url}/azure",
            api_version="2024-10-21",
            azure_ad_token=token,
            max_retries=0,
            http_client=plain(),
        )
        with client:
            if token == KEY:
                assert client.chat.completions.create(model=CHAT, messages=HELLO).choices
                continue
            with pytest.raises(openai.AuthenticationError):
                client.chat.completions.create(model=CHAT, messages=HELLO)


@ALL_FORMS
def test_a_model_that_is_not_there_is_not_found(clouds: Speaking, form: str) -> None:
    met = refused(form, clouds, model="nobody")
    assert isinstance(met, openai.NotFoundError)
    codes = {"openai": "model_not_found", "azure": "DeploymentNotFound", "coreweave": "404"}
    assert met.code == codes[provider_of(form)]


@BOTH
@ALL_FORMS
def test_the_marker_of_a_prompt_has_it_refused(
    clouds: Speaking, form: str, *, stream: bool
) -> None:
    messages = [{"role": "user", "content": "Tell me [[refuse]] now."}]
    met = refused(form, clouds, messages=messages, stream=stream)
    assert isinstance(met, openai.BadRequestError)
    assert met.code == "content_filter"
    if provider_of(form) == "azure":
        body: Any = met.body
        inner = body["innererror"]
        assert inner["code"] == "ResponsibleAIPolicyViolation"
        assert inner["content_filter_result"]["violence"] == {"filtered": True, "severity": "high"}
    assert clouds.remote.served(provider_of(form))[provider_of(form)]["outcomes"] == {
        "content_filter": 1
    }


@ALL_FORMS
def test_the_marker_of_an_answer_has_it_filtered(clouds: Speaking, form: str) -> None:
    messages = [{"role": "user", "content": "Tell me [[filter]] now."}]
    answer = ask(form, clouds, messages=messages)
    assert answer.choices[0].finish_reason == "content_filter"
    chunks = ask(form, clouds, messages=messages, stream=True)
    ended = [choice for chunk in chunks for choice in chunk.choices if choice.finish_reason]
    assert [choice.finish_reason for choice in ended] == ["content_filter"]
    if provider_of(form) == "azure":
        found = ended[0].model_extra["content_filter_results"]["violence"]
        assert found == {"filtered": True, "severity": "high"}


@pytest.mark.parametrize("form", [form for form in FORMS if form != "coreweave"])
@pytest.mark.parametrize("marker", ["[[refuse]]", "[[filter]]"])
def test_a_picture_that_is_refused_is_an_error(clouds: Speaking, form: str, marker: str) -> None:
    with client_of(form, clouds.url) as client, pytest.raises(openai.BadRequestError) as met:
        client.images.generate(model=IMAGE, prompt=f"Draw {marker}.")
    codes = {
        "openai": ("moderation_blocked", "moderation_blocked"),
        "azure": ("content_filter", "contentFilter"),
    }
    assert met.value.code == codes[provider_of(form)][marker == "[[filter]]"]


@ALL_FORMS
def test_an_error_in_a_stream_is_an_error(clouds: Speaking, form: str) -> None:
    clouds.remote.set_faults(provider_of(form), {"stream_errors": 1.0})
    with pytest.raises(openai.APIError, match="server had an error"):
        ask(form, clouds, stream=True)


@ALL_FORMS
def test_a_cut_connection_is_a_connection_error_or_a_stream_without_its_end(
    clouds: Speaking, form: str
) -> None:
    clouds.remote.set_faults(provider_of(form), {"cuts": 1.0})
    with pytest.raises(openai.APIConnectionError):
        ask(form, clouds)
    clouds.remote.set_faults(provider_of(form), {"cut_streams": 1.0}, keep=False)
    for number in range(4):
        try:
            chunks = ask(
                form, clouds, stream=True, messages=[{"role": "user", "content": f"{number}"}]
            )
        except openai.APIConnectionError:
            continue
        # The SDK is content with it; the workers must not be.
        assert not [choice for chunk in chunks for choice in chunk.choices if choice.finish_reason]


def test_a_bad_request_says_what_is_wrong(clouds: Speaking) -> None:
    for form in FORMS:
        met = refused(form, clouds, temperature=3)
        assert isinstance(met, openai.BadRequestError)
        assert "temperature" in met.message


def test_vllms_older_errors_are_flat() -> None:
    with speaking(four_dialects(flat_errors=True)) as older:
        met = refused("coreweave", older, model="nobody")
    assert isinstance(met, openai.NotFoundError)
    body: Any = met.body
    assert (body["object"], body["code"]) == ("error", 404)


def test_paths_of_another_dialect_lead_nowhere(clouds: Speaking) -> None:
    for name in set(DIALECTS) - {"azure"}:
        wrong = f"{clouds.url}/{name}/openai/v1"
        with (
            openai.OpenAI(
                base_url=wrong, api_key=KEY, max_retries=0, http_client=plain()
            ) as client,
            pytest.raises(openai.NotFoundError),
        ):
            client.chat.completions.create(model=CHAT, messages=HELLO)
