"""What the headers of a reply say of limits and pauses, in OpenAI's spelling.

`x-ratelimit-{limit,remaining,reset}-{requests,tokens}`; a reset is a duration such as `12ms`,
`6m0s`, `1h2m3s` (Go's form), or plain seconds. `retry-after-ms` goes before `retry-after`, as in
the official SDK. None of it is believed when it is not a number that can be.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from workers.providers.dialect import LimitsSeen

_UNITS: Final[Mapping[str, float]] = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
    "d": 86_400.0,
}
_PART: Final = re.compile(r"(\d{1,12}(?:\.\d{0,12})?)(ns|us|µs|ms|s|m|h|d)")
_DURATION: Final = re.compile(rf"(?:{_PART.pattern})+")
_LONGEST: Final = 64
"""Most characters of a header's value that are looked at."""


def limits_of(headers: Mapping[str, str]) -> LimitsSeen | None:
    """Read the `x-ratelimit-*` headers; None when there are none of them."""
    get = headers.get
    values = (
        get("x-ratelimit-limit-requests"),
        get("x-ratelimit-remaining-requests"),
        get("x-ratelimit-reset-requests"),
        get("x-ratelimit-limit-tokens"),
        get("x-ratelimit-remaining-tokens"),
        get("x-ratelimit-reset-tokens"),
    )
    if values == _NONE:
        return None
    return LimitsSeen(
        requests_limit=_count(values[0]),
        requests_left=_count(values[1]),
        requests_reset_s=duration(values[2]),
        tokens_limit=_count(values[3]),
        tokens_left=_count(values[4]),
        tokens_reset_s=duration(values[5]),
    )


_NONE: Final = (None,) * 6
_MINUTE: Final = 60.0


def per_minute(seen: LimitsSeen, headers: Mapping[str, str]) -> LimitsSeen:
    """Limits that are those of another period, as `x-ratelimit-renewalperiod-*` says in seconds."""
    by_requests = _times(headers.get("x-ratelimit-renewalperiod-requests"))
    by_tokens = _times(headers.get("x-ratelimit-renewalperiod-tokens"))
    if by_requests == by_tokens == 1.0:
        return seen
    return replace(
        seen,
        requests_limit=_scaled(seen.requests_limit, by_requests),
        tokens_limit=_scaled(seen.tokens_limit, by_tokens),
    )


def _times(period: str | None) -> float:
    seconds = duration(period)
    return _MINUTE / seconds if seconds else 1.0


def _scaled(count: int | None, times: float) -> int | None:
    return None if count is None else round(count * times)


def _count(text: str | None) -> int | None:
    """A whole number, zero or above."""
    number = _seconds(text)
    return None if number is None else int(number)


def duration(text: str | None) -> float | None:
    """Seconds of `12ms`, `6m0s`, `1h2m3s`, `0.5`; None for anything else."""
    if text is None:
        return None
    text = text.strip()
    if len(text) > _LONGEST:
        return None
    if _DURATION.fullmatch(text):
        return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    return _seconds(text)


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds to wait as the provider asks: `retry-after-ms`, else `retry-after` (seconds, date).

    None when it does not ask, or asks for nothing that can be understood.
    """
    exact = _seconds(headers.get("retry-after-ms"))
    if exact is not None:
        return exact / 1000
    text = headers.get("retry-after")
    if text is None:
        return None
    plain = _seconds(text)
    if plain is not None:
        return plain
    try:
        wait = parsedate_to_datetime(text) - (now or datetime.now(UTC))
    except (TypeError, ValueError, OverflowError):
        return None
    return max(0.0, wait.total_seconds())


def should_retry(headers: Mapping[str, str]) -> bool | None:
    """What `x-should-retry` says, as the official SDK reads it; None when it says nothing."""
    return {"true": True, "false": False}.get(headers.get("x-should-retry", ""))


def _seconds(text: str | None) -> float | None:
    try:
        number = float(text) if text is not None and len(text) <= _LONGEST else -1.0
    except ValueError:
        return None
    return number if 0 <= number < math.inf else None
