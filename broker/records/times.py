"""Times on the wire are RFC 3339 in UTC with milliseconds; inside the process unix seconds."""

from datetime import UTC, datetime
from functools import lru_cache

LATEST = 253_402_300_799.0
"""Unix seconds of 9999-12-31T23:59:59Z, the last time RFC 3339 can say."""


def to_rfc3339(at: float) -> str:
    """Unix seconds as `2026-11-24T14:20:00.123Z`."""
    milliseconds = round(min(max(at, 0.0), LATEST) * 1000)
    return f"{_second(milliseconds // 1000)}.{milliseconds % 1000:03d}Z"


@lru_cache(maxsize=256)
def _second(whole: int) -> str:
    # A record has up to ten times in it, and most of them fall into the same few seconds.
    return datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def from_rfc3339(text: str) -> float:
    """Unix seconds of an RFC 3339 time; raises ValueError for other text or a missing offset."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("the time has no offset from UTC")
    return moment.timestamp()
