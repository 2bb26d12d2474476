import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.retries import (
    COMMON,
    Action,
    Failure,
    RetryRules,
    Transport,
    backoff,
    next_step,
    verdict,
)
from broker.core.retry_budget import RetryBudget

RULES = RetryRules()
jitters = st.floats(0, 1, exclude_max=True)
failures = st.builds(
    Failure,
    status=st.none() | st.integers(100, 599),
    code=st.none() | st.sampled_from(sorted(COMMON.by_code)) | st.text(max_size=5),
    transport=st.none() | st.sampled_from(Transport),
    retry_after_s=st.none() | st.floats(0, 1000),
    calls=st.integers(1, 9),
    calls_here=st.integers(1, 9),
    deadline=st.none() | st.floats(900, 1100),
    alone=st.booleans(),
)


@pytest.mark.parametrize(
    ("status", "code", "expected", "unhealthy"),
    [
        (429, "rate_limit_exceeded", Action.RETRY, False),
        (429, "concurrency_limit", Action.RETRY, False),
        (429, None, Action.RETRY, False),
        (429, "insufficient_quota", Action.MOVE, True),
        (402, None, Action.MOVE, True),
        (401, "invalid_api_key", Action.MOVE, True),
        (403, None, Action.MOVE, True),
        (404, "model_not_found", Action.MOVE, False),
        (400, "content_filter", Action.REFUSED, False),
        (400, "context_length_exceeded", Action.MOVE, False),
        (400, None, Action.FAILED, False),
        (418, None, Action.FAILED, False),
        (422, None, Action.FAILED, False),
        (408, None, Action.RETRY, False),
        (409, None, Action.RETRY, False),
        (500, None, Action.RETRY, True),
        (503, None, Action.RETRY, True),
        (504, None, Action.RETRY, True),
        (599, None, Action.RETRY, True),
        (302, None, Action.MOVE, True),
        (None, None, Action.RETRY, True),
    ],
)
def test_the_table(status: int | None, code: str | None, expected: Action, unhealthy: bool) -> None:  # noqa: FBT001 - a column of the table
    row = verdict(status, code)
    assert (row.action, row.unhealthy) == (expected, unhealthy)


@pytest.mark.parametrize("transport", Transport)
def test_a_call_without_a_whole_answer_counts_against_the_provider(transport: Transport) -> None:
    row = verdict(200, "content_filter", transport)
    assert row.unhealthy
    assert row.action in {Action.RETRY, Action.MOVE}


def test_a_long_time_out_is_not_spent_twice_in_one_place() -> None:
    for transport in (Transport.FIRST_BYTE_TIMEOUT, Transport.TOTAL_TIMEOUT):
        assert verdict(None, None, transport).action is Action.MOVE


def test_tries_in_place_are_counted_and_then_it_moves() -> None:
    steps = [
        next_step(Failure(429, calls=n, calls_here=n), RULES, now=0, jitter=0.5).action
        for n in range(1, 8)
    ]
    assert steps == [Action.RETRY] * 3 + [Action.MOVE] * 2 + [Action.FAILED] * 2


def test_alone_it_goes_on_in_place_up_to_the_most_calls() -> None:
    steps = [
        next_step(Failure(503, calls=n, calls_here=n, alone=True), RULES, now=0, jitter=0.5).action
        for n in range(1, 8)
    ]
    assert steps == [Action.RETRY] * 5 + [Action.FAILED] * 2


@given(st.floats(0, 30), jitters)
def test_retry_after_is_kept(asked: float, jitter: float) -> None:
    step = next_step(Failure(429, retry_after_s=asked), RULES, now=0, jitter=jitter)
    assert step.action is Action.RETRY
    assert asked <= step.after_s <= asked + RULES.base_s


def test_a_provider_that_asks_for_too_long_is_left() -> None:
    step = next_step(Failure(429, retry_after_s=31), RULES, now=0, jitter=0)
    assert step.action is Action.MOVE
    assert step.why == "429, try again after 31 s"


def test_no_retry_begins_after_the_deadline() -> None:
    failure = Failure(503, retry_after_s=5, deadline=104)
    assert next_step(failure, RULES, now=100, jitter=0).action is Action.MOVE
    assert next_step(failure, RULES, now=98, jitter=0).action is Action.RETRY


@given(st.integers(1, 10_000), jitters)
def test_backoff_is_full_jitter_under_a_doubling_ceiling(tries: int, jitter: float) -> None:
    pause = backoff(tries, RULES, jitter)
    assert 0 <= pause <= min(RULES.cap_s, RULES.base_s * 2 ** min(tries - 1, 60))
    assert backoff(tries, RULES, 0) == 0


@given(failures, jitters)
def test_every_failure_has_a_next_step(failure: Failure, jitter: float) -> None:
    step = next_step(failure, RULES, now=1000, jitter=jitter)
    assert step.why
    assert step.after_s >= 0
    if step.action is Action.RETRY:
        assert failure.calls < RULES.max_calls
        assert failure.deadline is None or 1000 + step.after_s < failure.deadline
        assert step.after_s >= (failure.retry_after_s or 0)


@given(failures)
def test_whatever_happens_a_prompt_ends(failure: Failure) -> None:
    """The same failure again and again, moving where it says so, ends within the most calls."""
    calls = 1
    while calls <= RULES.max_calls:
        again = Failure(failure.status, failure.code, failure.transport, calls=calls)
        if next_step(again, RULES, now=0, jitter=0.1).action in {Action.FAILED, Action.REFUSED}:
            return
        calls += 1
    pytest.fail("it would go on for ever")


def test_a_storm_is_impossible() -> None:
    """Every call fails and wants a retry: of all calls at most a tenth are retries."""
    budget, drawn = RetryBudget(0.1), random.Random(1)
    calls, retries, waiting, now = 0, 0, 0, 0.0
    while now < 600:
        now += drawn.expovariate(50)
        budget.called(now)
        calls += 1
        waiting += 1
        while waiting and budget.may_retry(now):
            waiting -= 1
            calls += 1
            retries += 1
    assert retries <= 0.1 * calls
    assert retries > 0.08 * calls


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.1, 3.0, 70.0]), st.booleans()), max_size=400))
def test_within_any_minute_retries_keep_to_the_budget(steps: list[tuple[float, bool]]) -> None:
    budget = RetryBudget(0.1, window_s=60, floor=3)
    now, made = 0.0, []
    for step, retry in steps:
        now += step
        if not retry:
            budget.called(now)
            made.append((int(now), False))
        elif budget.may_retry(now):
            made.append((int(now), True))
        recent = [was_retry for at, was_retry in made if at > int(now) - 60]
        assert sum(recent) <= max(3, 0.1 * len(recent) + 1)


def test_what_waits_after_an_outage_goes_out_as_the_provider_proves_to_be_back() -> None:
    """Eleven prompts that had tried everyone waited over a minute at a healthy, idle provider."""
    budget = RetryBudget(0.1, floor=3)
    for _ in range(20):
        budget.called(0)
        budget.failed(0)
    waiting, now, in_flight = 200, 10.0, 0
    while waiting and now < 30:
        now += 0.5  # every call takes half a second, and is answered
        for _ in range(in_flight):
            budget.succeeded()
        in_flight = 0
        while waiting and budget.may_retry(now):
            waiting, in_flight = waiting - 1, in_flight + 1
    assert waiting < 100  # three at once; first calls in between would make it quicker


@given(st.lists(st.tuples(st.floats(0.01, 4.9), st.booleans(), st.integers(1, 5)), max_size=200))
def test_while_it_fails_now_and_then_nothing_is_earned(
    steps: list[tuple[float, bool, int]],
) -> None:
    budget = RetryBudget(0.1, floor=3)
    budget.failed(0)
    now, calls, retries = 0.0, 0, 0
    for step, good, count in steps:
        now += step / 2
        budget.called(now)
        calls += 1
        for _ in range(count):
            if good:
                budget.succeeded()
        budget.failed(now)
        while budget.may_retry(now):
            retries += 1
            calls += 1
        assert retries <= 0.1 * calls + 3 * (1 + now / 60) + 1


def test_a_failure_takes_away_what_was_earned() -> None:
    budget = RetryBudget(0.0, floor=0)
    budget.succeeded()
    budget.succeeded()
    assert budget.may_retry(100.0)
    budget.failed(101.0)
    assert not budget.may_retry(110.0)
    budget.succeeded()
    assert budget.may_retry(110.0)
    assert not budget.may_retry(110.0)


def test_a_quiet_provider_may_retry_too() -> None:
    budget = RetryBudget(0.1, floor=3)
    budget.called(0)
    assert [budget.may_retry(0) for _ in range(5)] == [True, True, True, False, False]
    assert budget.may_retry(61)


def test_budgets_that_cannot_work_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot work"):
        RetryBudget(1.0)
