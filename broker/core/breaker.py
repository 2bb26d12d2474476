"""A breaker in front of a provider: closed, open, half-open.

         too many failures            open time over
    closed ───────────────► open ───────────────────► half_open
       ▲                      ▲                          │  │
       │                      └───── a probe failed ─────┘  │
       └──────────────── enough probes succeeded ───────────┘

A provider whose quota or credit is spent (`spent`) is stopped at once, for `spent_s` and longer
each time: nothing works there until somebody acts.

Only outcomes that speak about the provider's health are recorded: a refusal of one prompt says
nothing, and neither does 429, which asks for patience and is answered with it. The caller passes
the time in; results of calls that began before the last transition are not counted in half-open.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

from broker.records.providers import BreakerState

_SLICES: Final = 10


@dataclass(frozen=True, slots=True)
class BreakerRules:
    """When to open, how long, and how to close. Times are seconds."""

    window_s: float = 10.0
    """Outcomes older than this are forgotten."""
    least: int = 10
    """Fewer outcomes in the window say nothing about a rate."""
    failure_rate: float = 0.5
    in_a_row: int = 8
    """So many failures, with no success between, open it whatever the rate."""
    open_s: float = 2.0
    open_cap_s: float = 12.0
    """Open time doubles with each failed probe, up to this: prompts are back within 15 s of a
    provider's return."""
    probes: int = 2
    """Calls at once while half-open, and successes that close it."""
    spent_s: float = 60.0
    spent_cap_s: float = 600.0
    """As `open_s` and `open_cap_s`, for a provider that is spent."""

    def __post_init__(self) -> None:
        sound = (
            self.window_s > 0
            and self.least > 0
            and 0 < self.failure_rate <= 1
            and self.in_a_row > 0
            and 0 < self.open_s <= self.open_cap_s
            and self.probes > 0
            and 0 < self.spent_s <= self.spent_cap_s
        )
        if not sound:
            raise ValueError(f"these breaker rules can never work: {self}")


class Breaker:
    """One provider's breaker, as one worker sees it.

    Ask `allows(now)` before a call and pass its ticket back with the outcome: every ticket must
    come back through exactly one of `succeeded`, `failed`, `spent`, `unheard` (the call said
    nothing about the provider's health, such as a 400 or a cancelled call), or half-open runs out
    of probes.
    """

    __slots__ = (
        "_bad",
        "_closed_at",
        "_good",
        "_open_s",
        "_opens_again_at",
        "_out",
        "_row",
        "_rules",
        "_slices",
        "_spent",
        "_state",
        "_turn",
        "_won",
    )

    def __init__(self, rules: BreakerRules) -> None:
        self._rules = rules
        self._state: BreakerState = "closed"
        self._turn = 0  # counts transitions; a ticket is the turn it was given in
        self._slices: deque[list[float]] = deque()  # [number of the slice, successes, failures]
        self._good = self._bad = 0
        self._row = 0
        self._open_s = rules.open_s
        self._opens_again_at = 0.0
        self._out = 0  # probes under way
        self._won = 0
        self._spent = False
        self._closed_at: float | None = None

    @property
    def closed_at(self) -> float | None:
        """When it closed last, after probes that succeeded; None when it has never been open."""
        return self._closed_at

    @property
    def is_spent(self) -> bool:
        """Whether it was stopped for want of quota or credit, and has not answered since."""
        return self._spent

    def state(self, now: float) -> BreakerState:
        """The state now; an open breaker whose time is over is half-open."""
        if self._state == "open" and now >= self._opens_again_at:
            self._go("half_open", now)
        return self._state

    def opens_again_at(self, now: float) -> float | None:
        """When an open breaker lets a probe through (unix seconds); None when it is not open."""
        return self._opens_again_at if self.state(now) == "open" else None

    def allows(self, now: float) -> int | None:
        """A ticket for one call now, or None when there must be none."""
        state = self.state(now)
        if state == "open":
            return None
        if state == "half_open":
            if self._out + self._won >= self._rules.probes:
                return None
            self._out += 1
        return self._turn

    def succeeded(self, ticket: int, now: float) -> None:
        """The provider answered as it should."""
        if ticket != self._turn:
            return
        if self._state == "half_open":
            self._out -= 1
            self._won += 1
            if self._won >= self._rules.probes:
                self._go("closed", now)
            return
        self._row = 0
        self._count(now, good=1, bad=0)

    def failed(self, ticket: int, now: float) -> None:
        """The provider failed: 5xx, no connection, a time-out, a cut or broken answer."""
        if ticket != self._turn:
            return
        if self._state == "half_open":
            rules = self._rules
            cap = rules.spent_cap_s if self._spent else rules.open_cap_s
            self._open_s = min(cap, self._open_s * 2)
            self._go("open", now)
            return
        self._row += 1
        self._count(now, good=0, bad=1)
        total = self._good + self._bad
        rules = self._rules
        if self._row >= rules.in_a_row or (
            total >= rules.least and self._bad >= rules.failure_rate * total
        ):
            self._go("open", now)

    def spent(self, ticket: int, now: float) -> bool:
        """Quota or credit is used up; True when this is news."""
        if ticket != self._turn:
            return False
        if self._spent:
            self.failed(ticket, now)
            return False
        self._spent = True
        self._open_s = self._rules.spent_s
        self._go("open", now)
        return True

    def unheard(self, ticket: int) -> None:
        """The call said nothing about the provider's health; its place is free again."""
        if ticket == self._turn and self._state == "half_open":
            self._out -= 1

    def _go(self, state: BreakerState, now: float) -> None:
        """Every transition: what it resets is here and nowhere else."""
        self._state = state
        self._turn += 1
        self._slices.clear()
        self._good = self._bad = self._row = self._out = self._won = 0
        if state == "open":
            self._opens_again_at = now + self._open_s
        elif state == "closed":
            self._closed_at = now
            self._open_s = self._rules.open_s
            self._spent = False

    def _count(self, now: float, *, good: int, bad: int) -> None:
        number = now * _SLICES // self._rules.window_s
        slices = self._slices
        if not slices or slices[-1][0] < number:
            slices.append([number, 0, 0])
        slices[-1][1] += good
        slices[-1][2] += bad
        self._good += good
        self._bad += bad
        while slices[0][0] <= number - _SLICES:
            _, old_good, old_bad = slices.popleft()
            self._good -= int(old_good)
            self._bad -= int(old_bad)
