"""What headers say of limits and pauses, in every spelling; what cannot be is not believed."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.providers.dialect import LimitsSeen
from workers.providers.rate_headers import (
    duration,
    limits_of,
    per_minute,
    retry_after,
    should_retry,
)

NOW = datetime(2026, 11, 26, 12, 0, 0, tzinfo=UTC)
SAID = {
    "x-ratelimit-limit-requests": "3000",
    "x-ratelimit-remaining-requests": "2999",
    "x-ratelimit-reset-requests": "20ms",
    "x-ratelimit-limit-tokens": "1000000",
    "x-ratelimit-remaining-tokens": "999970",
    "x-ratelimit-reset-tokens": "6m0s",
}
ODD = ("", "soon", "nan", "inf", "-1", "1e999", "²", "1" * 100)


class TestLimits:
    def test_all_of_them(self) -> None:
        assert limits_of(SAID) == LimitsSeen(3000, 2999, 0.02, 1_000_000, 999_970, 360.0)

    def test_one_alone(self) -> None:
        assert limits_of({"x-ratelimit-remaining-tokens": "7"}) == LimitsSeen(tokens_left=7)

    def test_none(self) -> None:
        assert limits_of({"content-type": "application/json"}) is None

    @pytest.mark.parametrize("odd", ODD)
    def test_what_is_no_number_is_unknown(self, odd: str) -> None:
        assert limits_of(dict.fromkeys(SAID, odd)) == LimitsSeen()

    def test_limits_of_ten_seconds_are_told_for_a_minute(self) -> None:
        renewal = {"x-ratelimit-renewalperiod-requests": "10"}
        seen = per_minute(LimitsSeen(50, 45, 3.0, 20_000, 1, 2.0), renewal)
        assert seen == LimitsSeen(300, 45, 3.0, 20_000, 1, 2.0)

    @pytest.mark.parametrize("odd", [*ODD, "0", "60"])
    def test_a_period_that_says_nothing_changes_nothing(self, odd: str) -> None:
        seen = LimitsSeen(50, 45, 3.0)
        renewal = {f"x-ratelimit-renewalperiod-{what}": odd for what in ("requests", "tokens")}
        assert per_minute(seen, renewal) == seen


class TestDurations:
    @pytest.mark.parametrize(
        ("text", "seconds"),
        [
            *(("12ms", 0.012), ("6m0s", 360.0), ("1h2m3s", 3723.0), ("1s", 1.0), ("0s", 0.0)),
            *(("1m30.5s", 90.5), ("3", 3.0), ("0.25", 0.25), (" 2s ", 2.0), ("500µs", 0.0005)),
            *(("1d", 86_400.0), ("7.66s", 7.66), ("100us", 0.0001), ("5ns", 5e-9)),
            *((odd, None) for odd in (*ODD, "1x", "s", "m", "-1s", "1s1", "1h 2m")),
            (None, None),
        ],
    )
    def test_in_every_spelling(self, text: str | None, seconds: float | None) -> None:
        got = duration(text)
        assert got == (None if seconds is None else pytest.approx(seconds))

    @given(st.text(max_size=80))
    def test_any_text_is_a_time_or_none(self, text: str) -> None:
        got = duration(text)
        assert got is None or got >= 0
        limits_of(dict.fromkeys(SAID, text))
        assert (retry_after({"retry-after": text, "retry-after-ms": text}, NOW) or 0.0) >= 0


class TestRetryAfter:
    @pytest.mark.parametrize(
        ("headers", "expected"),
        [
            ({}, None),
            ({"retry-after": "3"}, 3.0),
            ({"retry-after": " 2.5 "}, 2.5),
            ({"retry-after-ms": "250", "retry-after": "3"}, 0.25),
            ({"retry-after-ms": "x", "retry-after": "3"}, 3.0),
            ({"retry-after": "Thu, 26 Nov 2026 12:00:07 GMT"}, 7.0),
            ({"retry-after": "Thu, 26 Nov 2026 11:00:00 GMT"}, 0.0),
            ({"retry-after": "Thu, 26 Nov 2026 12:00:07"}, None),
            *(({"retry-after": odd}, None) for odd in ODD),
        ],
    )
    def test_it_is_seconds_or_a_date_or_not_there(
        self, headers: dict[str, str], expected: float | None
    ) -> None:
        assert retry_after(headers, NOW) == expected

    @pytest.mark.parametrize(
        ("told", "expected"), [("true", True), ("false", False), ("yes", None), (None, None)]
    )
    def test_the_providers_word_on_another_try(
        self,
        told: str | None,
        expected: bool | None,  # noqa: FBT001 - a column of the table
    ) -> None:
        assert should_retry({} if told is None else {"x-should-retry": told}) is expected
