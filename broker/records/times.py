"""Times on the wire are RFC 3339 in UTC with milliseconds; inside the process unix seconds."""

from datetime import UTC, datetime

LATEST = 253_402_300_799.0
"""Unix seconds of 9999-12-31T23:59:59Z, the last time RFC 3339 can say."""


def to_rfc3339(at: float) -> str:
    """Unix seconds as `2026-11-24T14:20:00.123Z`."""
    clamped = min(max(at, 0.0), LATEST)
    return (
        datetime.fromtimestamp(round(clamped, 3), UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    )


def from_rfc3339(text: str) -> float:
    """Unix seconds of an RFC 3339 time; raises ValueError for other text or a missing offset."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("the time has no offset from UTC")
    return moment.timestamp()
