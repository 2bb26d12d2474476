"""What is done about a limit on calls at once, when calls have said something. Pure.

`broker.core.concurrency` tells the rules.
"""

from enum import Enum
from math import ceil, sqrt
from typing import Final

from broker.core.alone_times import AloneTimes
from broker.core.call_ages import CallAges
from broker.core.call_window import FULL, LITTLE, PLAIN, WAIT_S, CallWindow
from broker.core.limit_growth import Growth
from broker.core.limit_pairs import WINDOWS, Pairs
from broker.core.refusals import Refusals

START: Final = 32
LEAST: Final = 8
MUCH: Final = 0.10
"""From this above 1 on a ratio is too high."""
QUICK: Final = 0.07
"""So far below 1, calls were measured while they waited."""
CUT: Final = 0.9
PROBE_S: Final = 60.0
_LESS: Final = 0.85
_CHECKED, _CHECKED_FIRST = 0.7, 0.5
_NEAR: Final = 0.95
_FEW: Final = 4
"""Fewer are not checked: a window would take too long."""
_PAIRED: Final = 1.5 * LEAST
"""So many or fewer are compared with half of them, several times, before it is less."""
_HALF_IS_ALL: Final = 1.12
_AT_LEAST: Final = 0.5


class Phase(Enum):
    """What is being done."""

    STARTUP = "startup"
    CHECK = "check"
    PAIRS = "pairs"
    STEADY = "steady"


class LimitPhases:
    """The limit, and what led to it. Not thread-safe; times in seconds."""

    def __init__(self, most: int, now: float) -> None:
        self.most = most
        self.limit = min(START, most)
        self.phase = Phase.STARTUP
        self.alone = AloneTimes()
        self.number = 0
        """Of the limit's window; calls that began in `changed_in` did so after the last cut."""
        self.changed_in = self.steady_from = 0
        self.window = CallWindow()
        self.ages = CallAges()
        self.refusals = Refusals(most, now)
        self._growth = Growth()
        self._mild = 0
        self._full_since = now
        # Of a check: what was found, the ratio before, and the limit to go back to.
        self._found, self._before, self._back = float(self.limit), 1.0, self.limit
        self._waited = self.limit
        self._pairs: Pairs | None = None
        self._floor = LEAST

    def looked(self, now: float) -> None:
        """See how old the calls under way are."""
        if self.phase is Phase.STARTUP or self._pairs is not None:
            return
        revises = self.ages.waiting is not None
        waiting = self.ages.look(now)
        if waiting is None:
            return
        ratio = waiting.ratio
        if not revises:
            self._waited = self.limit
            back = self._back if self.phase is Phase.CHECK else self.limit
            self._check(self._no_less_than_half(self.limit / ratio), ratio, back, now)
        elif self._waited / ratio < _LESS * self._found:
            self._found, self._before = self._waited / ratio, ratio
            self._go(int(_CHECKED * self._found), now)

    def drained(self, now: float) -> None:
        """What was too much has ended: until now the provider had all that it can take."""
        served = self.ages.served(now)
        if served is not None:
            self._found = min(served, float(self._back))
            self._go(int(_CHECKED * self._found), now)

    def had_not_waited(self, now: float) -> None:
        """The ages had said something wrong."""
        self.ages.forget()
        self._steady(self._back, now)

    def refused(self, in_flight: int, now: float, *, counted: bool) -> None:
        """So many under way were too many, as the provider says; `counted` if it means them."""
        limit = round(self._found) if self.phase is Phase.CHECK else self.limit
        ceiling = min(self.limit, in_flight) if counted else limit
        self.refusals.ceiling = ceiling
        found = max(1, int(ceiling * CUT))
        if self.phase is Phase.STARTUP:
            self._check(found, 1.0, found, now, share=_CHECKED_FIRST)
        else:
            self._steady(found, now)

    def fell(self, served: float, now: float) -> None:
        """The latest calls waited plainly: only so many are served at once, or all are slower."""
        found = self._no_less_than_half(min(float(self.limit), served))
        first = self.phase is Phase.STARTUP
        before = 1.0 if first else self.limit / max(found, 1.0)
        back = ceil(found) if first else self.limit
        self._check(found, before, back, now, share=_CHECKED_FIRST if first else _CHECKED)

    def _no_less_than_half(self, found: float) -> float:
        """Of the latest calls alone: those that a higher limit let through all queue together."""
        return max(found, _AT_LEAST * self.limit)

    def judge(self, now: float) -> None:
        """The window is full: what it says."""
        window = self.window
        if self._pairs is not None:
            self._paired(self._pairs, window, now)
            return
        ratio, doubt = window.ratio, self.alone.doubt(window)
        checks = self.phase is Phase.CHECK
        much = ratio > 1 + max(2 * MUCH if checks else MUCH, doubt) and window.waited_s > WAIT_S
        if checks:
            self._checked(window, now, much=much)
        elif not window.is_full(self.limit) and ratio <= 1 + PLAIN:
            self._quiet(window, now)
        elif much:
            self._too_much(window, now)
        else:
            if ratio <= 1 + LITTLE:
                self._mild = 0
            self._grow(window, now)

    def _quiet(self, window: CallWindow, now: float) -> None:
        """There is room anyway: what is wanted now is not what the provider takes at the most."""
        self._full_since = now
        self._mild = 0
        self.alone.also(window)
        self._go(self.limit, now)

    def _too_much(self, window: CallWindow, now: float) -> None:
        found = window.all_under_way(self.limit) / window.ratio
        if self.phase is Phase.STARTUP:
            self._check(found, 1.0, ceil(found), now, share=_CHECKED_FIRST)
            return
        if not self._mild:
            self._back = self.limit
        self._mild += 1
        if self._mild > 1 or window.ratio > 1 + PLAIN / 2:
            self._check(found, window.ratio, self._back, now)
        else:
            self._go(min(self.limit, ceil(found)), now)

    def _check(
        self, found: float, before: float, back: int, now: float, share: float = _CHECKED
    ) -> None:
        if before > 1 and self.phase is not Phase.CHECK:
            self._growth.fell(self.limit)
        self.phase = Phase.CHECK
        self._found, self._before, self._back = max(1.0, found), before, back
        if before > 1 and self.ages.waiting is None:
            self.ages.pass_over()  # that they waited is known already
        self._full_since = now
        fewer = int(share * min(found, self.limit))
        few = fewer < self._floor and 1 < self.limit <= _PAIRED
        if few and self.most > LEAST and self.ages.waiting is None:
            self._pair(self.limit, now)
        elif min(found, self.limit) < _FEW:
            self._steady(round(found), now)
        else:
            self._go(fewer, now)

    def _pair(self, more: int, now: float) -> None:
        self.phase, self._pairs = Phase.PAIRS, Pairs(more)
        self._floor = self._pairs.fewer
        self.number += 1
        self.window = CallWindow()
        self._go(more, now)

    def _paired(self, pairs: Pairs, window: CallWindow, now: float) -> None:
        """A window of those with more, or with fewer calls."""
        if pairs.measured(window.ratio) and not pairs.done:
            self._go(pairs.limit, now)
            return
        self.alone.measured(pairs.alone or 1.0, WINDOWS * pairs.fewer)
        self.ages.pass_over()
        if not pairs.done:
            self._floor = min(LEAST, pairs.more)
            self._steady(pairs.more, now)
        elif pairs.found < _HALF_IS_ALL * pairs.fewer and pairs.fewer > 1:
            self._pair(pairs.fewer, now)
        else:
            self._floor = max(1, round(pairs.found))
            self._steady(self._floor, now)

    def _checked(self, window: CallWindow, now: float, *, much: bool) -> None:
        ratio = window.ratio
        if much and ratio < sqrt(self._before):
            self._check(window.all_under_way(self.limit) / ratio, self._before, self._back, now)
            return
        self._found *= ratio
        quick = (1 - max(QUICK, self.alone.doubt(window))) * min(1.0, self._before)
        self.alone.measured(ratio, window.calls)
        if ratio < quick and window.waited_s < -WAIT_S:
            self._check(self._found, 1.0, self._back, now)
            return
        self._growth.restart()
        self._mild = 0
        found = self._back if much else max(self.limit, round(self._found))
        self._steady(found, now, right=not much)

    def _grow(self, window: CallWindow, now: float) -> None:
        if window.at_once < FULL * self.limit and self.phase is Phase.STEADY:
            self._full_since = now  # there is room most of the time
            self._go(self.limit, now)
        elif self.phase is Phase.STARTUP:
            if self.limit >= self.most:
                self._check(self.most, 1.0, self.most, now)
            else:
                self._go(2 * self.limit, now)
        elif now - self._full_since > PROBE_S and not self._growth.goes_back(self.limit):
            ratio = min(1.0, window.ratio)
            self._check(self.limit / ratio, ratio, self.limit, now)
        else:
            near = _NEAR * self.refusals.at(now)
            self._go(self._growth.after(window, self.limit, near), now)

    def _steady(self, limit: int, now: float, *, right: bool = False) -> None:
        """A check is over; `right` when it has shown that calls had waited."""
        if self._before > 1:
            self.ages.pass_over()
        self.ages.settled(right=right)
        self.phase, self._pairs = Phase.STEADY, None
        self._full_since = now
        self.number += 1
        self.steady_from = self.number
        self._go(limit, now)

    def _go(self, limit: int, now: float) -> None:
        """This limit from now on: where it is another one, with a new window."""
        least = max(1, min(self._floor, int(self.refusals.at(now) * CUT)))
        limit = min(max(limit, least), self.most)
        if self._pairs is None and limit >= LEAST:
            self._floor = LEAST
        if limit == self.limit:
            self.window.halve()
            return
        self.number += 1
        if limit < self.limit:
            self.changed_in = self.number
            self._growth.restart()
        self.limit = limit
        self.window = CallWindow()
