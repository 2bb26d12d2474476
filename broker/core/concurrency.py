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

Below `LEAST` a check could be fooled: on a busy machine all times waver, each cut looks right, and
the limit would end at one. There windows with so many and with half of them take turns
(`broker.core.limit_pairs`), and only if all of them agree it becomes less.

Calls under way speak too (`broker.core.call_ages`): in STEADY, far fewer of the latest may have
ended than should have, which is a queue, or a provider that is slower: CHECK, with fewer the longer
it lasts. When what was too much has ended, the work that was done meanwhile tells what was found.
Calls that then end in the time that their tokens take had not waited: the limit goes back.

A ratio is believed as far as the calls' own spread lets it, and the number of those that told what
a call takes alone. What has no effect on a person's wait (`WAIT_S`) is no reason to call less.
Where the limit is not reached only a ratio far above 1 is one: it would become what was wanted in a
quiet time.
"""

from dataclasses import dataclass
from typing import Final

from broker.core.call_ages import Aged
from broker.core.call_times import CallTimes
from broker.core.call_window import Ended, Latest, Throughput
from broker.core.limit_phases import LEAST, START, LimitPhases, Phase

__all__ = ["LEAST", "START", "Begun", "ConcurrencyLimit", "Phase"]

MOST_LATE: Final = 0.5
"""A call of whose time this process may have been late for more than this says nothing."""
_FEWEST, _MOST = 16, 60
_TOLD: Final = (Phase.STARTUP, Phase.STEADY)
"""In these the latest calls are listened to before a window is full."""


@dataclass(slots=True)
class Begun:
    """A call under way, for what becomes of it. `should` are the seconds that it should take."""

    window: int
    at: float
    in_flight: int
    should: float | None = None
    aged: Aged | None = None


class ConcurrencyLimit:
    """One worker's limit for its provider. Not thread-safe; times in seconds."""

    __slots__ = ("_latest", "_latest_from", "_phases", "_throughput", "_times")

    def __init__(self, most: int, now: float) -> None:
        self._phases = LimitPhases(most, now)
        self._times = CallTimes()
        self._latest = Latest()
        self._latest_from = 0
        self._throughput = Throughput()

    @property
    def limit(self) -> int:
        """Calls at once."""
        return self._phases.limit

    def expected(self, model: str, tokens: float) -> float | None:
        """Seconds that a call with so many tokens in its answer should take; None: not known."""
        line = self._times.expected(model, tokens)
        return None if line is None else line * self._phases.alone.scale

    def began(self, in_flight: int, now: float, should: float | None = None) -> Begun:
        """A call begins, with so many under way, itself included."""
        phases = self._phases
        if phases.ages.waiting is not None and in_flight <= phases.limit:
            phases.drained(now)
        return Begun(phases.number, now, in_flight, should)

    def sent(self, begun: Begun, now: float) -> None:
        """It has gone out: from now on its age is watched, where it is known what it should be."""
        if begun.should is not None:
            begun.aged = self._phases.ages.sent(begun.should, self._phases.limit, now)

    def lost(self, begun: Begun) -> None:
        """It ended in a way that says nothing of the provider."""
        if begun.aged is not None:
            begun.aged.gone = True

    def looked(self, now: float, due: float) -> None:
        """Look at the calls under way: several times a second, and next at `due`."""
        self._phases.ages.due(now, due)
        self._phases.looked(now)

    def answered(
        self,
        begun: Begun,
        model: str,
        tokens: float,
        seconds: float,
        now: float,
        *,
        late_s: float = 0.0,
    ) -> None:
        """It was answered whole, with so many tokens in the answer.

        This process may have been late for `late_s` of its time, which is not the provider's.
        """
        phases = self._phases
        late = late_s > MOST_LATE * seconds
        if begun.aged is not None:
            learn = phases.phase is Phase.STEADY and begun.window >= phases.steady_from
            phases.ages.ended(begun.aged, now, learn=learn and not late)
        if late:
            return
        seconds -= late_s
        known = self.expected(model, tokens)
        expected = seconds if known is None else known
        self._throughput.ended(expected, now)
        phases.refusals.answered()
        waiting = phases.ages.waiting
        if waiting is not None:
            waiting.heard(begun.aged, seconds, expected, now)
            if waiting.was_wrong:
                phases.had_not_waited(now)
                return
        self._say(Ended(seconds, expected, begun.in_flight, model, tokens), begun, now)

    def refused(self, begun: Begun, now: float, *, counted: bool = True) -> None:
        """The provider has too many calls, as it says; `counted` when it is their number.

        Else it is a 503, which may have other reasons: it counts when many calls meet one.
        """
        self.lost(begun)
        phases = self._phases
        # One that began before the last cut says what that was for.
        if phases.refusals.refused(now, counted=counted) and begun.window >= phases.changed_in:
            phases.refused(begun.in_flight, now, counted=counted)

    def _say(self, call: Ended, begun: Begun, now: float) -> None:
        phases, latest = self._phases, self._latest
        # What a check has found is in the scale: its calls were measured with the one before.
        since = max(phases.changed_in, phases.steady_from)
        if self._latest_from != since:
            self._latest_from = since
            latest.forget()
        if begun.window >= since:
            latest.ended(call)
        if begun.window != phases.number:
            return
        window = phases.window
        window.ended(call, begun.at, now)
        if phases.phase in _TOLD and latest.wait_plainly:
            phases.fell(self._throughput.served(max(1.0, latest.usual_s), now), now)
        elif len(window.fresh) >= min(max(phases.limit, _FEWEST), _MOST):
            alone = phases.alone.scale * phases.alone.waited(window, phases.limit)
            for one in window.fresh:
                self._times.measured(one.model, one.tokens, one.seconds / alone)
            phases.judge(now)
