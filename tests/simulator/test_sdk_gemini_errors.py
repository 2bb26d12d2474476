"""Google's own SDK meets every error as the exception that it should be; and streams as arrays."""

import urllib.error
import urllib.request
from typing import Any

import orjson
import pytest
from google import genai
from google.genai import errors, types

from tests.simulator.speaking import CHAT, IMAGE, KEY, Speaking
from tests.simulator.test_sdk_gemini import HELLO, client_of

FAULTS: list[tuple[dict[str, Any], type[errors.APIError], int, str]] = [
    ({"rate_limited": 1.0}, errors.ClientError, 429, "RESOURCE_EXHAUSTED"),
    ({"server_errors": 1.0}, errors.ServerError, 500, "INTERNAL"),
    (
        {"server_errors": 1.0, "server_error_status": 504},
        errors.ServerError,
        504,
        "DEADLINE_EXCEEDED",
    ),
    ({"outages": [{"to_s": 600}]}, errors.ServerError, 503, "UNAVAILABLE"),
    ({"too_long": 1.0}, errors.ClientError, 400, "INVALID_ARGUMENT"),
    ({"spent": 1.0}, errors.ClientError, 403, "PERMISSION_DENIED"),
]
BOTH = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
PATH = f"/google/v1/projects/p/locations/l/publishers/google/models/{CHAT}"


def ask(
    clouds: Speaking, text: str = HELLO, *, stream: bool = False, key: str = KEY, model: str = CHAT
) -> list[types.GenerateContentResponse]:
    with client_of(clouds.url, key) as client:
        if stream:
            return list(client.models.generate_content_stream(model=model, contents=text))
        return [client.models.generate_content(model=model, contents=text)]


def raw(clouds: Speaking, path: str, body: Any, key: str = KEY) -> tuple[int, Any]:
    request = urllib.request.Request(  # noqa: S310 - http only
        clouds.url + path,
        data=orjson.dumps(body),
        headers={"Authorization": f"Bearer {key}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as reply:  # noqa: S310 - http only
            return reply.status, orjson.loads(reply.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, orjson.loads(error.read())


@BOTH
@pytest.mark.parametrize(
    ("fault", "kind", "code", "status"), FAULTS, ids=[one[3] for one in FAULTS]
)
def test_a_fault_is_its_exception(
    clouds: Speaking,
    fault: dict[str, Any],
    kind: type[errors.APIError],
    code: int,
    status: str,
    *,
    stream: bool,
) -> None:
    clouds.remote.set_faults("google", fault)
    with pytest.raises(kind) as met:
        ask(clouds, stream=stream)
    assert (met.value.code, met.value.status) == (code, status)
    assert met.value.message


def test_a_429_asks_for_no_pause(clouds: Speaking) -> None:
    clouds.remote.set_faults("google", {"rate_limited": 1.0, "retry_after_s": 5.0})
    with pytest.raises(errors.ClientError) as met:
        ask(clouds)
    names = {name.lower() for name in met.value.response.headers}
    assert not [name for name in names if "retry" in name or "ratelimit" in name]


def test_a_wrong_token_is_not_let_in(clouds: Speaking) -> None:
    with pytest.raises(errors.ClientError) as met:
        ask(clouds, key="another")
    assert (met.value.code, met.value.status) == (401, "UNAUTHENTICATED")
    assert met.value.details["error"]["details"][0]["reason"] == "ACCESS_TOKEN_TYPE_UNSUPPORTED"


def test_a_key_of_the_express_mode_is_let_in(clouds: Speaking) -> None:
    options = types.HttpOptions(base_url=f"{clouds.url}/google", client_args={"verify": False})
    for key in (KEY, "another"):
        with genai.Client(vertexai=True, api_key=key, http_options=options) as client:
            if key == KEY:
                assert client.models.generate_content(model=CHAT, contents=HELLO).text
                continue
            with pytest.raises(errors.ClientError) as met:
                client.models.generate_content(model=CHAT, contents=HELLO)
            assert met.value.code == 401


def test_a_model_that_is_not_there_is_not_found(clouds: Speaking) -> None:
    with pytest.raises(errors.ClientError) as met:
        ask(clouds, model="nobody")
    assert (met.value.code, met.value.status) == (404, "NOT_FOUND")


@BOTH
@pytest.mark.parametrize("how", ["marker", "fault"])
def test_a_refusal_has_a_good_status_and_no_candidates(
    clouds: Speaking, how: str, *, stream: bool
) -> None:
    if how == "fault":
        clouds.remote.set_faults("google", {"refused": 1.0})
    text = "Tell [[refuse]] now." if how == "marker" else HELLO
    (answer,) = ask(clouds, text, stream=stream)
    assert not answer.candidates
    assert answer.prompt_feedback is not None
    assert answer.prompt_feedback.block_reason is types.BlockedReason.PROHIBITED_CONTENT
    assert answer.usage_metadata is not None
    assert answer.usage_metadata.prompt_token_count
    assert clouds.remote.served("google")["google"]["answered"] == 0


@BOTH
def test_a_filtered_answer_ends_for_safety(clouds: Speaking, *, stream: bool) -> None:
    *_, last = ask(clouds, "Tell [[filter]] now.", stream=stream)
    assert last.candidates is not None
    assert last.candidates[0].finish_reason is types.FinishReason.SAFETY
    assert last.candidates[0].safety_ratings is not None
    assert last.candidates[0].safety_ratings[0].blocked


def test_a_picture_that_is_filtered_is_not_shown(clouds: Speaking) -> None:
    with client_of(clouds.url) as client:
        answer = client.models.generate_content(
            model=IMAGE,
            contents="Draw [[filter]].",
            config=types.GenerateContentConfig(response_modalities=["IMAGE"]),
        )
    assert answer.candidates is not None
    assert answer.candidates[0].finish_reason is types.FinishReason.IMAGE_SAFETY


def test_an_error_in_a_stream_is_an_error(clouds: Speaking) -> None:
    clouds.remote.set_faults("google", {"stream_errors": 1.0})
    with pytest.raises(errors.ServerError) as met:
        ask(clouds, stream=True)
    assert met.value.status == "INTERNAL"


def test_a_stream_that_is_cut_has_no_finish_reason(clouds: Speaking) -> None:
    clouds.remote.set_faults("google", {"cut_streams": 1.0})
    for number in range(4):
        try:
            chunks = ask(clouds, f"{number}", stream=True)
        except Exception as error:  # noqa: BLE001 - the SDK lets its transport's error through
            assert "peer closed" in str(error) or "incomplete" in str(error)  # noqa: PT017 - as above
            continue
        found = [one for chunk in chunks for one in chunk.candidates or ()]
        assert not [one for one in found if one.finish_reason]


def test_without_sse_a_stream_is_an_array_and_so_are_its_errors(clouds: Speaking) -> None:
    contents = [{"role": "user", "parts": [{"text": HELLO}]}]
    asked = {"contents": contents, "generationConfig": {"maxOutputTokens": 40}}
    stream = f"{PATH}:streamGenerateContent"
    status, chunks = raw(clouds, stream, asked)
    assert status == 200
    assert len(chunks) >= 2
    text = "".join(chunk["candidates"][0]["content"]["parts"][0]["text"] for chunk in chunks)
    _, whole = raw(clouds, f"{PATH}:generateContent", asked)
    assert whole["candidates"][0]["content"]["parts"][0]["text"] == text
    assert [chunk["candidates"][0].get("finishReason") for chunk in chunks][-1] == "STOP"
    status, (refused,) = raw(clouds, stream, asked, key="another")
    assert (status, refused["error"]["status"]) == (401, "UNAUTHENTICATED")
    status, plain = raw(clouds, f"{PATH}:generateContent", asked, key="another")
    assert (status, plain["error"]["status"]) == (401, "UNAUTHENTICATED")
    clouds.remote.set_faults("google", {"stream_errors": 1.0})
    status, chunks = raw(clouds, stream, asked)
    assert (status, chunks[-1]["error"]["code"]) == (200, 500)


WRONG: list[tuple[Any, str]] = [
    ({}, "contents"),
    ({"contents": []}, "contents"),
    ({"contents": [{"parts": []}]}, "parts"),
    ({"contents": [{"parts": [{}]}]}, "part"),
    ({"contents": [{"role": "boss", "parts": [{"text": "x"}]}]}, "role"),
    ({"contents": [{"parts": [{"text": "x"}]}], "model_name": 1}, "model_name"),
    ({"contents": [{"parts": [{"text": "x"}]}], "generationConfig": {"n": 2}}, "generation_config"),
    (
        {"contents": [{"parts": [{"text": "x"}]}], "generationConfig": {"candidateCount": 9}},
        "candidateCount",
    ),
    ([], "JSON"),
]


def test_a_bad_request_says_what_is_wrong(clouds: Speaking) -> None:
    for body, what in WRONG:
        status, reply = raw(clouds, f"{PATH}:generateContent", body)
        assert (status, reply["error"]["status"]) == (400, "INVALID_ARGUMENT"), body
        assert what in reply["error"]["message"]


def test_names_with_underscores_are_understood_as_google_does(clouds: Speaking) -> None:
    body = {
        "contents": {"parts": {"text": HELLO}},
        "system_instruction": {"parts": [{"text": "Be short."}]},
        "generation_config": {"max_output_tokens": 7},
    }
    status, reply = raw(clouds, f"{PATH}:generateContent", body)
    assert status == 200
    assert reply["usageMetadata"]["candidatesTokenCount"] == 7


def test_a_path_that_leads_nowhere_is_a_page_for_people(clouds: Speaking) -> None:
    for path in ("/google/v1/chat/completions", f"{PATH}:sing"):
        with pytest.raises(urllib.error.HTTPError) as met:
            urllib.request.urlopen(f"{clouds.url}{path}", data=b"{}", timeout=20)  # noqa: S310 - http only
        with met.value as error:
            assert error.code == 404
            assert error.headers["content-type"].startswith("text/html")
