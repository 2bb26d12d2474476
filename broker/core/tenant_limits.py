"""What a tenant may use: requests, tokens, US dollars, in a minute, a UTC day and a UTC month."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, Literal

Period = Literal["minute", "day", "month"]
Dimension = Literal["requests", "tokens", "usd"]

PERIODS: Final[tuple[Period, ...]] = ("minute", "day", "month")
DIMENSIONS: Final[tuple[Dimension, ...]] = ("requests", "tokens", "usd")
MINUTE_S: Final = 60.0
DAY_S: Final = 86_400.0
_MONTHS: Final = 12

Amounts = tuple[float, float, float]
"""Requests, tokens, US dollars."""
Bounds = tuple[float | None, float | None, float | None]
"""The most of each; None is without a limit."""

NO_BOUNDS: Final[Bounds] = (None, None, None)


@dataclass(frozen=True, slots=True)
class TenantLimits:
    """One tenant's limits. A prompt over a limit of a minute waits up to `max_wait_s` seconds."""

    minute: Bounds = NO_BOUNDS
    day: Bounds = NO_BOUNDS
    month: Bounds = NO_BOUNDS
    max_wait_s: float = 30.0

    @property
    def any(self) -> bool:
        """Whether there is a limit at all."""
        return any(bound is not None for bound in (*self.minute, *self.day, *self.month))

    @property
    def of_dollars(self) -> bool:
        """Whether there is one of dollars."""
        return not (self.minute[2] is self.day[2] is self.month[2] is None)

    def of(self, period: Period) -> Bounds:
        """The limits of one period."""
        bounds: Bounds = getattr(self, period)
        return bounds


@dataclass(frozen=True, slots=True)
class TenantTerms:
    """Everyone's limits and shares; what is not named has the ones for all others.

    `limits` holds None for a tenant without any limit.
    """

    limits: Mapping[str, TenantLimits | None] = field(default_factory=dict)
    otherwise: TenantLimits | None = None
    shares: Mapping[str, float] = field(default_factory=dict)
    share_otherwise: float = 1.0

    def limits_of(self, tenant: str) -> TenantLimits | None:
        """What holds for a tenant; None is no limit."""
        return self.limits.get(tenant, self.otherwise)

    def share_of(self, tenant: str) -> float:
        """A tenant's weight where tenants share something."""
        return self.shares.get(tenant, self.share_otherwise)

    @property
    def any_limits(self) -> bool:
        """Whether anyone has one."""
        return self.otherwise is not None or any(one is not None for one in self.limits.values())


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a prompt may not come in: which limit, and from when on it may (unix seconds).

    `retry_at` is None when it never may: it alone is more than the limit. `spent` is False where
    waiting helps soon: over a rate, or where only this classifier's part of a budget is used up.
    `used` is what counts against the limit (of a minute, what has been let in for later too), and
    `asked` what the prompt would add.
    """

    period: Period
    dimension: Dimension
    limit: float
    retry_at: float | None
    spent: bool
    used: float = 0.0
    asked: float = 0.0


def day_of(at: float) -> int:
    """The number of the UTC day of a time (unix seconds)."""
    return int(at // DAY_S)


def month_of(at: float) -> int:
    """The number of the UTC month of a time: twelve times the year, plus the month from 0."""
    return _month(day_of(at))


@lru_cache(maxsize=64)
def _month(day: int) -> int:
    date = datetime.fromtimestamp(day * DAY_S, UTC)
    return date.year * _MONTHS + date.month - 1


def day_ends(at: float) -> float:
    """When the UTC day of a time is over (unix seconds)."""
    return (day_of(at) + 1) * DAY_S


def month_ends(at: float) -> float:
    """When the UTC month of a time is over (unix seconds)."""
    year, month = divmod(month_of(at) + 1, _MONTHS)
    return datetime(year, month + 1, 1, tzinfo=UTC).timestamp()


def name_of_day(day: int) -> str:
    """Such as `2026-11-26`."""
    return f"{datetime.fromtimestamp(day * DAY_S, UTC):%Y-%m-%d}"


def name_of_month(month: int) -> str:
    """Such as `2026-11`."""
    year, number = divmod(month, _MONTHS)
    return f"{year:04d}-{number + 1:02d}"


def day_named(name: str) -> int:
    """The number of the day with this name; raises ValueError."""
    return day_of(datetime.fromisoformat(name).replace(tzinfo=UTC).timestamp())


def month_named(name: str) -> int:
    """The number of the month with this name; raises ValueError."""
    return month_of(datetime.fromisoformat(f"{name}-01").replace(tzinfo=UTC).timestamp())
