"""Limits per minute: no minute sees more than the limit, whatever comes when."""

from itertools import pairwise
from typing import Any

import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.simulator.speaking import CHAT, IMAGE, VECTOR, Speaking
from tests.simulator.test_sdk_openai import HELLO, client_of
from tests.simulator.test_sdk_openai_errors import refused
from workers.simulator.history import SECONDS, History
from workers.simulator.minute_limits import WINDOW_S, MinuteLimits

GAPS = st.one_of(st.floats(0.0, 3.0), st.floats(10.0, 70.0))
ARRIVALS = st.lists(st.tuples(GAPS, st.integers(0, 400)), min_size=1, max_size=80)


@settings(deadline=None)
@given(ARRIVALS, st.integers(1, 30), st.integers(1, 3_000), st.floats(0.0, 1e7))
def test_in_no_minute_is_more_let_in_than_the_limits(
    arrivals: list[tuple[float, int]], requests: int, tokens: int, now: float
) -> None:
    limits = MinuteLimits(requests, tokens)
    let_in: list[tuple[float, int]] = []
    for gap, size in arrivals:
        now += gap
        refused_for = limits.admit(size, now)
        if refused_for is None:
            let_in.append((now, size))
            continue
        assert 0.0 <= refused_for.wait_s <= WINDOW_S + 0.2
        if size <= tokens:
            # What is told is true: after the pause it would have fitted.
            again = MinuteLimits(requests, tokens)
            for at, what in let_in:
                again.admit(what, at)
            assert again.admit(size, now + refused_for.wait_s + 0.001) is None
    for first in range(len(let_in)):
        minute = [what for at, what in let_in[first:] if at < let_in[first][0] + WINDOW_S]
        assert len(minute) <= requests
        assert sum(minute) <= tokens


def test_what_is_left_falls_and_comes_back() -> None:
    limits = MinuteLimits(10, None)
    assert limits.left(0.0)[0] is not None
    for _ in range(4):
        assert limits.admit(100, 5.0) is None
    requests, tokens = limits.left(5.0)
    assert requests is not None
    assert (requests.limit, requests.left, tokens) == (10, 6, None)
    assert 60.0 <= requests.reset_s <= 60.2
    later, _ = limits.left(66.0)
    assert later is not None
    assert (later.left, later.reset_s) == (10, 0.0)


def test_no_limit_lets_everything_in() -> None:
    limits = MinuteLimits(None, None)
    assert limits.none
    assert limits.left(1.0) == (None, None)


def test_the_history_is_bounded_and_survives_a_clock_that_is_set_back() -> None:
    history = History()
    for second in range(SECONDS + 50):
        history.accepted(float(second), 10)
        history.refused(second + 0.5)
        history.used(second + 0.9, 7)
    rows = history.rows()
    assert len(rows) == SECONDS
    assert rows[-1] == [SECONDS + 49, 1, 1, 10, 7]
    history.accepted(3.0, 10)
    assert history.rows()[-1][1] == 2
    assert all(one[0] < other[0] for one, other in pairwise(history.rows()))


def test_the_call_beyond_the_requests_of_a_minute_is_told_when_to_come_back(
    clouds: Speaking,
) -> None:
    clouds.remote.set_capacity("openai", requests_per_minute=3)
    with client_of("openai", clouds.url) as client:
        create = client.chat.completions.with_raw_response.create
        seen = [create(model=CHAT, messages=HELLO).headers for _ in range(3)]
        assert [one["x-ratelimit-remaining-requests"] for one in seen] == ["2", "1", "0"]
        assert seen[0]["x-ratelimit-limit-requests"] == "3"
        assert seen[0]["x-ratelimit-reset-requests"].endswith("s")
        with pytest.raises(openai.RateLimitError, match="requests per min") as met:
            client.chat.completions.create(model=CHAT, messages=HELLO)
    assert met.value.code == "rate_limit_exceeded"
    assert met.value.type == "requests"
    assert 0 < float(met.value.response.headers["retry-after"]) <= 61
    served = clouds.remote.served("openai", history=True)["openai"]
    rows = served["history"]
    assert sum(row[1] for row in rows) == 3
    assert sum(row[2] for row in rows) == 1
    assert sum(row[4] for row in rows) == served["input_tokens"] + served["output_tokens"]
    clouds.remote.set_capacity("openai", requests_per_minute=None)
    with client_of("openai", clouds.url) as client:
        client.chat.completions.create(model=CHAT, messages=HELLO)


def test_each_model_may_have_the_limits_for_itself(clouds: Speaking) -> None:
    clouds.remote.set_capacity("openai", requests_per_minute=1, each_model=True)
    with client_of("openai", clouds.url) as client:
        for model in (IMAGE, VECTOR):
            client.chat.completions.create(model=model, messages=HELLO)
        with pytest.raises(openai.RateLimitError):
            client.chat.completions.create(model=IMAGE, messages=HELLO)


def test_tokens_count_the_most_that_an_answer_may_have(clouds: Speaking) -> None:
    clouds.remote.set_capacity("openai", tokens_per_minute=100_000)
    met = refused("openai", clouds, max_tokens=200_000, extra_body={"simulated_output_tokens": 5})
    assert isinstance(met, openai.RateLimitError)
    assert "tokens per min" in met.message
    assert met.type == "tokens"
    with client_of("openai", clouds.url) as client:
        reply = client.chat.completions.with_raw_response.create(
            model=CHAT, messages=HELLO, max_tokens=500
        )
    assert int(reply.headers["x-ratelimit-remaining-tokens"]) <= 99_500
    assert reply.headers["x-ratelimit-limit-tokens"] == "100000"


def test_azure_tells_resets_in_whole_seconds_and_spills_over(clouds: Speaking) -> None:
    clouds.remote.set_capacity("azure", requests_per_minute=1)
    with client_of("azure-deployments", clouds.url) as client:
        create: Any = client.chat.completions.with_raw_response.create
        first = create(model=CHAT, messages=HELLO)
        assert int(first.headers["x-ratelimit-reset-requests"]) in range(58, 62)
        assert first.headers["x-ms-deployment-name"] == CHAT
        with pytest.raises(openai.RateLimitError) as met:
            create(model=CHAT, messages=HELLO)
        assert met.value.code == "429"
        assert int(met.value.response.headers["retry-after"]) in range(50, 62)
        spilled = create(
            model=CHAT, messages=HELLO, extra_headers={"x-ms-spillover-deployment": "standard-1"}
        )
    assert spilled.headers["x-ms-deployment-name"] == "standard-1"
    assert spilled.headers["x-ms-spillover-from-deployment"] == CHAT


def test_vllm_says_nothing_of_limits_but_has_too_many_at_once(clouds: Speaking) -> None:
    clouds.remote.set_capacity("coreweave", concurrency=1)
    with client_of("coreweave", clouds.url) as client:
        reply = client.chat.completions.with_raw_response.create(model=CHAT, messages=HELLO)
        assert not [name for name in reply.headers if "ratelimit" in name]
        clouds.remote.set_faults("coreweave", {"slow": 1.0, "slow_gap_s": 2.0})
        held = client.chat.completions.create(model=CHAT, messages=HELLO, stream=True)
        with held, pytest.raises(openai.RateLimitError, match="Concurrency limit reached"):
            client.chat.completions.create(model=CHAT, messages=HELLO)
