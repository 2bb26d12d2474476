"""What a worker measures of its calls, without metrics: many virtual seconds in a real one."""

from bisect import bisect_left, insort
from collections import deque
from itertools import takewhile
from math import ceil
from typing import Final

from workers.expectations import Expectations
from workers.tallies import Recent, Speed, Tallies

_MOST: Final = 500
_WINDOW_S: Final = 60.0
_RATE_S: Final = 10.0
_SHORTEST_S: Final = 0.1


class SortedRecent(Recent):
    """As `Recent`, with everything kept ready instead of worked out when asked."""

    def __init__(self) -> None:
        super().__init__()
        self._came: deque[tuple[float, float]] = deque()
        self._sorted: list[float] = []
        self._made: deque[tuple[float, int]] = deque()
        self._tokens = 0
        self._any = False

    def answered(self, first_token_s: float | None, output_tokens: int | None, now: float) -> None:
        """A call was answered at `now` (unix seconds)."""
        if output_tokens:
            self._any = True
            self._made.append((now, output_tokens))
            self._tokens += output_tokens
            if len(self._made) > _MOST:
                self._tokens -= self._made.popleft()[1]
        if first_token_s is None:
            return
        self._came.append((now, first_token_s))
        insort(self._sorted, first_token_s)
        if len(self._came) > _MOST:
            self._forget()

    def first_token_s(self, share: float, now: float) -> float | None:
        """The time to the first token that this share of calls is not above; None without any."""
        while self._came and self._came[0][0] <= now - _WINDOW_S:
            self._forget()
        times = self._sorted
        return times[max(0, ceil(share * len(times)) - 1)] if times else None

    def output_tokens_s(self, now: float) -> float | None:
        """Tokens of answers a second over the last ten seconds; None before the first one."""
        made = self._made
        while made and made[0][0] <= now - _RATE_S:
            self._tokens -= made.popleft()[1]
        if not self._any:
            return None
        if len(made) < _MOST:
            return self._tokens / _RATE_S
        since = made[0][0]
        first = sum(tokens for _, tokens in takewhile(lambda one: one[0] == since, made))
        return (self._tokens - first) / max(now - since, _SHORTEST_S)

    def _forget(self) -> None:
        gone = self._came.popleft()[1]
        del self._sorted[bisect_left(self._sorted, gone)]


class QuietTallies(Tallies):
    """The measured speed alone."""

    def __init__(self) -> None:
        self.speed = Speed()
        self.recent = SortedRecent()
        self.expected = Expectations()
