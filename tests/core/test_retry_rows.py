"""What a dialect adds to the table of retries, and what a provider says of another try itself."""

import pytest

from broker.core.retries import COMMON, Action, Failure, RetryRules, Verdict, next_step, verdict

RULES = RetryRules()


@pytest.mark.parametrize("calls", [1, RULES.max_calls])
@pytest.mark.parametrize(("status", "code"), [(402, None), (429, "insufficient_quota")])
def test_spent_credit_is_told_apart_from_pressure_also_by_the_last_call(
    status: int, code: str | None, calls: int
) -> None:
    step = next_step(Failure(status, code, calls=calls), RULES, now=0, jitter=0.5)
    assert step.spent
    assert not next_step(Failure(429, calls=calls), RULES, now=0, jitter=0.5).spent


def test_a_dialects_rows_go_before_and_leave_the_rest_as_it_is() -> None:
    own = Verdict(Action.MOVE, spent=True)
    table = COMMON.with_rows({"slow_down": own}, {418: own})
    assert verdict(429, "slow_down", table=table) is own
    assert verdict(418, None, table=table) is own
    assert verdict(503, None, table=table) == verdict(503, None)
    assert verdict(429, "slow_down") == verdict(429, None)


@pytest.mark.parametrize(
    ("status", "code", "told", "expected"),
    [
        (503, None, None, Action.RETRY),
        (503, None, False, Action.MOVE),
        (429, "rate_limit_exceeded", False, Action.MOVE),
        (400, None, True, Action.RETRY),
        (404, None, True, Action.RETRY),
        (400, None, False, Action.FAILED),
        (400, "content_filter", True, Action.REFUSED),
        (429, "insufficient_quota", True, Action.MOVE),
    ],
)
def test_the_providers_own_word_on_another_try_is_kept(
    status: int,
    code: str | None,
    told: bool | None,  # noqa: FBT001 - a column of the table
    expected: Action,
) -> None:
    failure = Failure(status, code, should_retry=told)
    assert next_step(failure, RULES, now=0, jitter=0.5).action is expected
