"""How many retries there may be, so that a storm of them is impossible."""

from collections import deque


class RetryBudget:
    """Retries are at most a share of the calls of the last minute, so that a storm is impossible.

    Calls include retries. A small number is allowed whatever the share, so that a quiet provider
    may retry too.
    """

    __slots__ = ("_calls", "_floor", "_retries", "_seconds", "_share", "_window_s")

    def __init__(self, share: float = 0.1, *, window_s: int = 60, floor: int = 3) -> None:
        if not 0 <= share < 1 or window_s < 1 or floor < 0:
            raise ValueError(f"a retry budget of {share} over {window_s} s cannot work")
        self._share = share
        self._window_s = window_s
        self._floor = floor
        self._seconds: deque[list[int]] = deque()  # [second, calls, retries]
        self._calls = 0
        self._retries = 0

    def called(self, now: float) -> None:
        """A first call was made."""
        self._second(now)[1] += 1
        self._calls += 1

    def may_retry(self, now: float) -> bool:
        """Ask for one retry and take it: True when it is within the budget."""
        second = self._second(now)
        allowed = max(self._floor, int(self._share * (self._calls + 1)))
        if self._retries + 1 > allowed:
            return False
        second[1] += 1
        second[2] += 1
        self._calls += 1
        self._retries += 1
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
