"""Limits per minute: what is let in, and when the next may come. Pure: times come in.

A window of the last 60 s slides in steps of a tenth of a second, rounded so that in no minute,
wherever it begins, more is let in than the limit. Vendors document buckets that fill all the time
(OpenAI) or windows of 1 to 10 s (Azure): whoever spreads calls over the minute meets none of these,
and whoever does not meets this one no later than theirs.
"""

from collections import deque
from dataclasses import dataclass
from math import floor
from typing import Final, Literal

WINDOW_S: Final = 60.0
_TICKS: Final = 10
"""Steps in a second."""
_IN_WINDOW: Final = int(WINDOW_S * _TICKS)


@dataclass(frozen=True, slots=True)
class Refused:
    """Too much: of what, the limit, what was asked for, and in how many seconds it would fit."""

    what: Literal["requests", "tokens"]
    limit: int
    asked: int
    wait_s: float


@dataclass(frozen=True, slots=True)
class Left:
    """One limit: what is left of it, and in how many seconds all of it is there again."""

    limit: int
    left: int
    reset_s: float


class MinuteLimits:
    """Requests and tokens in the last minute; None is no limit. `now` never goes back."""

    __slots__ = ("_admitted", "_requests", "_tokens", "requests", "tokens")

    def __init__(self, requests: int | None, tokens: int | None) -> None:
        self.requests = requests
        self.tokens = tokens
        # Ticks with what came in them, oldest first: at most _IN_WINDOW + 1 of them.
        self._admitted: deque[list[int]] = deque()
        self._requests = 0
        self._tokens = 0

    @property
    def none(self) -> bool:
        """Whether nothing is limited."""
        return self.requests is None and self.tokens is None

    def admit(self, tokens: int, now: float) -> Refused | None:
        """Let one request with so many tokens in, or say why not."""
        tick = self._forget(now)
        requests = 0 if self.requests is None else self._requests + 1 - self.requests
        too_much = 0 if self.tokens is None else self._tokens + tokens - self.tokens
        if requests > 0 or too_much > 0:
            wait = max(self._wait(now, 0, requests), self._wait(now, 1, too_much))
            if requests > 0:
                return Refused("requests", self.requests or 0, 1, wait)
            return Refused("tokens", self.tokens or 0, tokens, wait)
        if not self._admitted or self._admitted[-1][0] != tick:
            self._admitted.append([tick, 0, 0])
        last = self._admitted[-1]
        last[1] += 1
        last[2] += tokens
        self._requests += 1
        self._tokens += tokens
        return None

    def left(self, now: float) -> tuple[Left | None, Left | None]:
        """What is left of requests and of tokens; None for what is not limited."""
        self._forget(now)
        reset = self._ends(self._admitted[-1][0], now) if self._admitted else 0.0
        return (
            _left(self.requests, self._requests, reset),
            _left(self.tokens, self._tokens, reset),
        )

    def _forget(self, now: float) -> int:
        tick = floor(now * _TICKS)
        while self._admitted and self._admitted[0][0] < tick - _IN_WINDOW:
            _, requests, tokens = self._admitted.popleft()
            self._requests -= requests
            self._tokens -= tokens
        return tick

    def _wait(self, now: float, which: int, too_many: int) -> float:
        """Seconds until so many are no longer in the window; all of it where that is not enough."""
        if too_many <= 0:
            return 0.0
        for tick, *amounts in self._admitted:
            too_many -= amounts[which]
            if too_many <= 0:
                return self._ends(tick, now)
        return WINDOW_S

    @staticmethod
    def _ends(tick: int, now: float) -> float:
        return max(0.0, (tick + _IN_WINDOW + 1) / _TICKS - now)


def _left(limit: int | None, used: int, reset_s: float) -> Left | None:
    return None if limit is None else Left(limit, max(0, limit - used), reset_s if used else 0.0)
