"""How many retries there may be, so that a storm of them is impossible."""

from collections import deque
from math import inf
from typing import Final

CALM_S: Final = 5.0
"""A provider that has not failed for so long is not in trouble."""
MOST_EARNED: Final = 50
"""So many retries may go out at once beyond the share."""


class RetryBudget:
    """Retries are at most a share of the calls of the last minute, so that a storm is impossible.

    Calls include retries. A small number is allowed whatever the share, so that a quiet provider
    may retry too.

    A storm needs failures. So beyond the share each call that succeeded earns one retry more, while
    the provider has not failed for `CALM_S`: what waits after an outage goes out as the provider
    proves that it is back, and the first failure takes all that was earned away.
    """

    __slots__ = (
        "_calls",
        "_earned",
        "_failed_at",
        "_floor",
        "_retries",
        "_seconds",
        "_share",
        "_window_s",
    )

    def __init__(self, share: float = 0.1, *, window_s: int = 60, floor: int = 3) -> None:
        if not 0 <= share < 1 or window_s < 1 or floor < 0:
            raise ValueError(f"a retry budget of {share} over {window_s} s cannot work")
        self._share = share
        self._window_s = window_s
        self._floor = floor
        self._seconds: deque[list[int]] = deque()  # [second, calls, retries]
        self._calls = 0
        self._retries = 0
        self._earned = 0
        self._failed_at = -inf

    def called(self, now: float) -> None:
        """A first call was made."""
        self._second(now)[1] += 1
        self._calls += 1

    def succeeded(self) -> None:
        """A call was answered as it should."""
        self._earned = min(MOST_EARNED, self._earned + 1)

    def failed(self, now: float) -> None:
        """A call failed in a way that may be tried again."""
        self._earned = 0
        self._failed_at = now

    def may_retry(self, now: float) -> bool:
        """Ask for one retry and take it: True when it is within the budget, or earned."""
        second = self._second(now)
        allowed = max(self._floor, int(self._share * (self._calls + 1)))
        if self._retries + 1 > allowed and not self._take_earned(now):
            return False
        second[1] += 1
        second[2] += 1
        self._calls += 1
        self._retries += 1
        return True

    def _take_earned(self, now: float) -> bool:
        if self._earned < 1 or now - self._failed_at < CALM_S:
            return False
        self._earned -= 1
        return True

    def _second(self, now: float) -> list[int]:
        seconds = self._seconds
        number = int(now)
        if not seconds or seconds[-1][0] < number:
            seconds.append([number, 0, 0])
        while seconds[0][0] <= number - self._window_s:
            _, calls, retries = seconds.popleft()
            self._calls -= calls
            self._retries -= retries
        return seconds[-1]
