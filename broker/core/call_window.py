"""What a group of calls took, beside what they should have taken. Pure."""

from collections import deque
from dataclasses import dataclass, field
from heapq import heappop, heappush
from math import sqrt
from typing import Final, NamedTuple

WAIT_S: Final = 0.1
"""Calls that wait less than this on average may wait: no person notices."""
LITTLE: Final = 0.05
"""Up to this above 1 the limit may grow."""
PLAIN: Final = 0.5
"""So far above 1 the latest calls need no full window to be believed."""
FULL: Final = 0.9
"""From this share of the limit on it is taken to be used."""
_LATEST: Final = 16
_SLOW: Final = 1.6
_SIGMAS: Final = 2.5


class Ended(NamedTuple):
    """A call that was answered. `tokens` are those of its answer.

    `seconds` is what it took, `expected` what it should have taken, and `in_flight` how many were
    under way when it began, itself included.
    """

    seconds: float
    expected: float
    in_flight: int
    model: str
    tokens: float


@dataclass(slots=True)
class CallWindow:
    """Calls that began under one limit.

    A call counts when 1.6 times its expected time has passed since it began: had only the quick
    ones ended by then, they would speak for all.
    """

    fresh: list[Ended] = field(default_factory=list)
    """Those that count since `halve`, or since the beginning."""
    _calls: float = 0.0
    _seconds: float = 0.0
    _expected: float = 0.0
    _in_flight: float = 0.0
    _squares: tuple[float, float, float] = (0.0, 0.0, 0.0)
    _early: list[tuple[float, int, Ended]] = field(default_factory=list)
    _order: int = 0

    def ended(self, call: Ended, began: float, now: float) -> None:
        """A call that began at `began` has been answered."""
        heappush(self._early, (began + _SLOW * call.expected, self._order, call))
        self._order += 1
        while self._early and self._early[0][0] <= now:
            self._count(heappop(self._early)[2])

    def halve(self) -> None:
        """What was counted so far counts half beside what comes."""
        self.fresh.clear()
        self._calls /= 2
        self._seconds /= 2
        self._expected /= 2
        self._in_flight /= 2
        took, both, should = self._squares
        self._squares = (took / 4, both / 4, should / 4)

    def is_full(self, limit: int) -> bool:
        """Whether the limit was reached, so that calls may have waited for its being higher."""
        return self.all_under_way(limit) >= FULL * limit

    @property
    def calls(self) -> float:
        """How many there are; those before `halve` count half."""
        return self._calls

    @property
    def ratio(self) -> float:
        """Their time over their expected time."""
        return self._seconds / self._expected if self._expected > 0 else 1.0

    @property
    def doubt(self) -> float:
        """By how much chance alone may move the ratio, from how far the calls are apart."""
        took, both, should = self._squares
        ratio = self.ratio
        spread = max(0.0, took - 2 * ratio * both + ratio * ratio * should)
        return _SIGMAS * sqrt(spread) / self._expected if self._expected > 0 else 0.0

    @property
    def at_once(self) -> float:
        """How many calls were under way, on average."""
        return self._in_flight / self._calls

    @property
    def waited_s(self) -> float:
        """How long each waited, on average."""
        return (self._seconds - self._expected) / self._calls

    @property
    def waits_a_little(self) -> bool:
        """Whether they seem to wait, if not so much that it is known."""
        more = self.ratio > 1 + max(LITTLE, self.doubt / 2)
        return more and self.waited_s > WAIT_S / 2

    def all_under_way(self, limit: int) -> float:
        """How many were under way: all that may be, when the last of them saw so many."""
        most = max(call.in_flight for call in self.fresh)
        return limit if most >= FULL * limit else self.at_once

    def _count(self, call: Ended) -> None:
        self.fresh.append(call)
        self._calls += 1
        self._seconds += call.seconds
        self._expected += call.expected
        self._in_flight += call.in_flight
        took, both, should = self._squares
        self._squares = (
            took + call.seconds**2,
            both + call.seconds * call.expected,
            should + call.expected**2,
        )


@dataclass(slots=True)
class Latest:
    """The latest calls that began under a limit no higher than now."""

    calls: deque[Ended] = field(default_factory=deque)
    _waited: float = 0.0
    _expected: float = 0.0

    def ended(self, call: Ended) -> None:
        """One more was answered."""
        calls = self.calls
        calls.append(call)
        self._waited += call.seconds - call.expected
        self._expected += call.expected
        if len(calls) > _LATEST:
            first = calls.popleft()
            self._waited -= first.seconds - first.expected
            self._expected -= first.expected

    def forget(self) -> None:
        """Those so far began under another limit."""
        self.calls.clear()
        self._waited = self._expected = 0.0

    @property
    def usual_s(self) -> float:
        """What one of them should have taken, on average."""
        return sum(call.expected for call in self.calls) / len(self.calls)

    @property
    def wait_plainly(self) -> bool:
        """Whether they alone say that there are too many."""
        if len(self.calls) < _LATEST:
            return False
        return self._waited > PLAIN * self._expected and self._waited > WAIT_S * _LATEST


class Throughput:
    """How much work is served at once, by Little's law: the work that ends in a second."""

    __slots__ = ("_ended",)

    def __init__(self) -> None:
        self._ended: deque[tuple[float, float]] = deque(maxlen=1_000)

    def ended(self, expected: float, now: float) -> None:
        """A call that should take so many seconds ended."""
        self._ended.append((now, expected))

    def served(self, over_s: float, now: float) -> float:
        """Calls served at once over the last so many seconds."""
        since = max(self._ended[0][0], now - over_s) if self._ended else now
        return sum(work for at, work in self._ended if at > since) / max(now - since, 1e-3)
