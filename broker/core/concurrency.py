"""How many calls at once a provider can take, found out by calling it. Pure: the time comes in.

Calls that began under one limit make a window. Their time together, over the time that they should
take together (`broker.core.call_times`: by the tokens of each answer), is 1 while every call is
served at once, and by Little's law N/C when N calls share C places: so one window tells the
capacity, N over that ratio. Refusals (429 for too many at once, 503 for overload) tell the same
without a window, and a limit that was refused is not tried again for `HOLD_S`.

    STARTUP: doubles each window, until a ratio or a refusal says that it is too much; then CHECK
    CHECK:   a window with clearly fewer calls than were found, which says what a call takes that
             does not wait. As slow as before: it was no queue, the provider is slower, the limit
             goes back and calls should take what they take. Quicker than ever: they had always
             waited, so less was found; check again. Else: STEADY, with what was found
    STEADY:  grows in steps that double while nothing speaks against it, and holds at a ratio that
             is a little above 1. A ratio much above it, one that stays, or a limit that has been
             full for `PROBE_S`: CHECK

Times alone never bring the limit below `LEAST`: a provider that takes fewer says so by refusing.

A ratio is believed as far as the calls' own spread lets it. What has no effect on a person's wait
(`WAIT_S`) is no reason to call less.
"""

from dataclasses import dataclass
from enum import Enum
from math import ceil, sqrt
from typing import Final

from broker.core.call_times import CallTimes
from broker.core.call_window import PLAIN, WAIT_S, CallWindow, Ended, Latest, Throughput

START: Final = 32
LEAST: Final = 8
LITTLE: Final = 0.05
"""Up to this above 1 the limit may grow."""
MUCH: Final = 0.10
"""From this above 1 on it is too high."""
QUICK: Final = 0.07
"""So far below 1, calls were measured while they waited."""
HOLD_S: Final = 20.0
CUT: Final = 0.9
OVERLOADED: Final = 0.25
"""The share of late calls that were answered with 503, from which on it is overload."""
_OVERLOAD_WEIGHT: Final = 0.1
PROBE_S: Final = 60.0
_CHECKED, _CHECKED_FIRST = 0.7, 0.5
_FEWEST, _MOST = 16, 60
_LATEST, _PATIENCE = 16, 4
_NEAR, _FULL = 0.95, 0.9
_FEW: Final = 4
"""Fewer are not checked: a window would take too long."""


class Phase(Enum):
    """What is being done."""

    STARTUP = "startup"
    CHECK = "check"
    STEADY = "steady"


@dataclass(frozen=True, slots=True)
class Begun:
    """A call under way, for `answered` and `refused`."""

    window: int
    at: float
    in_flight: int


class ConcurrencyLimit:
    """One worker's limit for its provider. Not thread-safe; times in seconds."""

    def __init__(self, most: int, now: float) -> None:
        self.most = most
        self.limit = min(START, most)
        self.phase = Phase.STARTUP
        self._times = CallTimes()
        self._scale = 1.0
        self._number = 0
        self._changed_in = 0
        self._window = CallWindow()
        self._latest = Latest()
        self._throughput = Throughput()
        self._growths = self._holds = self._mild = 0
        self._refused_at, self._ceiling = now - HOLD_S, 2 * most
        self._full_since = now
        self._overload = 0.0
        self._known = 0
        # Of a check: what was found, the ratio before, and the limit to go back to.
        self._found, self._before, self._back = float(self.limit), 1.0, self.limit

    def expected(self, model: str, tokens: float) -> float | None:
        """Seconds that a call with so many tokens in its answer should take; None: not known."""
        line = self._times.expected(model, tokens)
        return None if line is None else line * self._scale

    def began(self, in_flight: int, now: float) -> Begun:
        """A call begins, with so many under way, itself included."""
        return Begun(self._number, now, in_flight)

    def answered(self, begun: Begun, model: str, tokens: float, seconds: float, now: float) -> None:
        """It was answered whole, with so many tokens in the answer."""
        known = self.expected(model, tokens)
        expected = seconds if known is None else known
        self._throughput.ended(expected, now)
        self._overload *= 1 - _OVERLOAD_WEIGHT
        call = Ended(seconds, expected, begun.in_flight, model, tokens)
        if begun.window >= self._changed_in:
            self._latest.calls.append(call)
        if begun.window != self._number:
            return
        self._window.ended(call, begun.at, now)
        if self.phase is not Phase.CHECK and self._latest.wait_plainly:
            self._fell(now)
        elif len(self._window.fresh) >= min(max(self.limit, _FEWEST), _MOST):
            self._judge(self._window, now)

    def refused(self, begun: Begun, now: float, *, counted: bool = True) -> None:
        """The provider has too many calls, as it says; `counted` when it is their number.

        Else it is a 503, which may have other reasons: it counts when many calls meet one.
        """
        if not counted:
            self._overload += (1 - self._overload) * _OVERLOAD_WEIGHT
            if self._overload < OVERLOADED:
                return
            self._overload = 0.0
        self._refused_at = now
        if begun.window < self._changed_in:
            return  # it began before the last cut, which was for the same
        limit = round(self._found) if self.phase is Phase.CHECK else self.limit
        self._ceiling = min(self.limit, begun.in_flight) if counted else limit
        found = max(1, int(self._ceiling * CUT))
        if self.phase is Phase.STARTUP:
            self._check(found, 1.0, found, now, share=_CHECKED_FIRST)
        else:
            self.phase = Phase.STEADY
            self._go(found, now)

    def _judge(self, window: CallWindow, now: float) -> None:
        """A window is full: what it says."""
        ratio, doubt = window.ratio, window.doubt
        for call in window.fresh:
            self._times.measured(call.model, call.tokens, call.seconds / (ratio * self._scale))
        checks = self.phase is Phase.CHECK
        much = ratio > 1 + max(2 * MUCH if checks else MUCH, doubt) and window.waited_s > WAIT_S
        if checks:
            self._checked(window, now, much=much)
        elif much:
            self._too_much(window, now)
        else:
            if ratio <= 1 + LITTLE:
                self._mild = 0
            self._grow(window, now)

    def _too_much(self, window: CallWindow, now: float) -> None:
        found = self._at_once(window) / window.ratio
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

    def _at_once(self, window: CallWindow) -> float:
        """How many were under way: all that may be, when the last of them saw so many."""
        most = max(call.in_flight for call in window.fresh)
        return self.limit if most >= _FULL * self.limit else window.at_once

    def _fell(self, now: float) -> None:
        """Far fewer than before are served at once, or everything takes longer."""
        over_s = max(1.0, self._latest.usual_s)
        found = min(float(self.limit), self._throughput.served(over_s, now))
        first = self.phase is Phase.STARTUP
        before = 1.0 if first else self.limit / max(found, 1.0)
        back = ceil(found) if first else self.limit
        self._check(found, before, back, now, share=_CHECKED_FIRST if first else _CHECKED)

    def _check(
        self, found: float, before: float, back: int, now: float, share: float = _CHECKED
    ) -> None:
        self.phase = Phase.CHECK
        self._found, self._before, self._back = max(1.0, found), before, back
        if before > 1:
            self._known = self.limit
        self._full_since = now
        if min(found, self.limit) < _FEW:
            self.phase = Phase.STEADY
            self._go(round(found), now)
            return
        self._go(int(share * min(found, self.limit)), now)

    def _checked(self, window: CallWindow, now: float, *, much: bool) -> None:
        ratio = window.ratio
        if much and ratio < sqrt(self._before):
            self._check(self._at_once(window) / ratio, self._before, self._back, now)
            return
        self._scale *= ratio
        self._found *= ratio
        quick = (1 - max(QUICK, window.doubt)) * min(1.0, self._before)
        if ratio < quick and window.waited_s < -WAIT_S:
            self._check(self._found, 1.0, self._back, now)
            return
        self.phase = Phase.STEADY
        self._growths = self._mild = 0
        self._go(self._back if much else max(self.limit, round(self._found)), now)

    def _grow(self, window: CallWindow, now: float) -> None:
        if window.at_once < _FULL * self.limit and self.phase is Phase.STEADY:
            self._full_since = now  # there is room anyway
            self._go(self.limit, now)
        elif self.phase is Phase.STARTUP:
            if self.limit >= self.most:
                self._check(self.most, 1.0, self.most, now)
            else:
                full = self._at_once(window) >= _FULL * self.limit
                self._go(2 * self.limit if full else self.limit, now)
        elif now - self._full_since > PROBE_S and self.limit > 1:
            ratio = min(1.0, window.ratio)
            self._check(self.limit / ratio, ratio, self.limit, now)
        elif self._waits_a_little(window) and self._holds < _PATIENCE:
            self._holds += 1
            self._growths //= 2
            self._go(self.limit, now)
        else:
            self._holds = 0
            # Back to what was held before, a fall that may have been a moment's, it goes faster.
            part = self.limit // (2 if self.limit < self._known else 8)
            wanted = self.limit + min(2**self._growths, max(1, part))
            self._growths += 1
            self._go(wanted if wanted <= _NEAR * self._ceiling else self.limit, now)

    @staticmethod
    def _waits_a_little(window: CallWindow) -> bool:
        more = window.ratio > 1 + max(LITTLE, window.doubt / 2)
        return more and window.waited_s > WAIT_S / 2

    def _go(self, limit: int, now: float) -> None:
        """This limit from now on: where it is another one, with a new window."""
        if now - self._refused_at > HOLD_S:
            self._ceiling = 2 * self.most
        least = max(1, min(LEAST, int(self._ceiling * CUT)))
        limit = min(max(limit, least), self.most)
        if limit == self.limit:
            self._window.halve()
            return
        self._number += 1
        if limit < self.limit:
            self._latest.calls.clear()
            self._changed_in = self._number
            self._growths = 0
        self.limit = limit
        self._window = CallWindow()
