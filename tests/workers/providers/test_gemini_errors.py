"""Google's errors: what they are read as, and what follows each."""

from typing import Any

import orjson
import pytest
from google.genai import _api_client
from google.genai.types import FinishReason
from hypothesis import given
from hypothesis import strategies as st

from broker.core.retries import Action, Verdict, verdict
from broker.settings.providers import ProviderSettings
from workers.providers.dialect import ErrorReply, Reply
from workers.providers.gemini import Gemini
from workers.providers.gemini_choice import FINISHED
from workers.providers.gemini_errors import RETRIES, UNFINISHED

ADAPTER = Gemini(ProviderSettings(dialect="gemini"))


def error_body(status: str, code: int, message: str = "No.", *details: Any) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "status": status, "details": list(details)}}


def read(body: Any, status: int, **headers: str) -> ErrorReply:
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return ADAPTER.error(Reply(status, names, data))


def follows(error: ErrorReply) -> Verdict:
    return verdict(error.status, error.code, table=ADAPTER.retries)


@pytest.mark.parametrize("listed", [False, True])
def test_bare_or_in_a_list(*, listed: bool) -> None:
    body = error_body("RESOURCE_EXHAUSTED", 429, "Try later.")
    got = read([body] if listed else body, 429)
    assert (got.status, got.code, got.type, got.message) == (
        429,
        "RESOURCE_EXHAUSTED",
        "provider_error",
        "Try later.",
    )
    assert got.retry_after_s is None


def test_how_long_to_wait_stands_in_the_details() -> None:
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "3.5s"}
    body = error_body("RESOURCE_EXHAUSTED", 429, "No.", "odd", info)
    assert read(body, 429).retry_after_s == 3.5
    assert read(body, 429, retry_after="7").retry_after_s == 7
    for delay in ("", "s", "-1s", "1m", 5, None, "9" * 400 + "s"):
        odd = error_body("RESOURCE_EXHAUSTED", 429, "No.", {"retryDelay": delay})
        assert read(odd, 429).retry_after_s is None


@pytest.mark.parametrize(
    ("status", "code", "action"),
    [
        ("RESOURCE_EXHAUSTED", 429, Action.RETRY),
        ("UNAVAILABLE", 503, Action.RETRY),
        ("INTERNAL", 500, Action.RETRY),
        ("DEADLINE_EXCEEDED", 504, Action.RETRY),
        ("CANCELLED", 499, Action.RETRY),
        ("FAILED_PRECONDITION", 400, Action.MOVE),
        ("NOT_FOUND", 404, Action.MOVE),
        ("PERMISSION_DENIED", 403, Action.MOVE),
        ("UNAUTHENTICATED", 401, Action.MOVE),
        ("INVALID_ARGUMENT", 400, Action.FAILED),
    ],
)
def test_what_follows(status: str, code: int, action: Action) -> None:
    assert follows(read(error_body(status, code), code)).action is action


def test_pressure_of_the_shared_pool_does_not_make_a_provider_sick() -> None:
    assert not follows(read(error_body("RESOURCE_EXHAUSTED", 429), 429)).unhealthy


def test_a_wrong_key_is_no_fault_of_the_prompt() -> None:
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
    got = read(error_body("INVALID_ARGUMENT", 400, "API key not valid.", info), 400)
    assert (got.code, got.type) == ("API_KEY_INVALID", "api_key_invalid")
    assert follows(got) == Verdict(Action.MOVE, unhealthy=True)


def test_a_bill_that_is_not_paid_stops_the_provider() -> None:
    info = {"reason": "BILLING_DISABLED"}
    assert follows(read(error_body("PERMISSION_DENIED", 403, "Pay.", info), 403)).spent


def test_a_prompt_that_is_too_long_moves_on() -> None:
    message = "The input token count (1200000) exceeds the maximum number of tokens allowed (9)."
    got = read(error_body("INVALID_ARGUMENT", 400, message), 400)
    assert got.code == "context_length_exceeded"
    assert follows(got).action is Action.MOVE


def test_every_status_that_the_sdk_tries_again_is_tried_again() -> None:
    for status in _api_client._RETRY_HTTP_STATUS_CODES:  # noqa: SLF001 - the better witness
        assert verdict(status, None, table=RETRIES).action is Action.RETRY


def test_every_reason_to_finish_of_the_sdk_is_known() -> None:
    words = {reason.value for reason in FinishReason} - {"FINISH_REASON_UNSPECIFIED"}
    assert words == {*FINISHED, *UNFINISHED}
    assert set(UNFINISHED) <= set(RETRIES.by_code)


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"[7]", b"null", {"error": None}, {"error": "no"}, {"error": []}, "x"],
)
def test_a_body_in_no_known_form_still_has_its_status(body: Any) -> None:
    got = read(body, 503)
    assert (got.status, got.code) == (503, None)
    assert got.message
    assert follows(got).action is Action.RETRY


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["error", "code", "message", "status", "details", "reason", "retryDelay"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(body=st.binary(max_size=200) | JSON.map(lambda value: value), status=st.integers(300, 599))
def test_no_body_breaks_the_reading_of_errors(body: Any, status: int) -> None:
    try:
        data = body if isinstance(body, bytes) else orjson.dumps(body)
    except TypeError:  # an integer of more than 64 bits
        return
    got = ADAPTER.error(Reply(status, {}, data))
    assert got.status >= 300
    assert len(got.message) <= 500
