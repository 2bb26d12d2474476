"""What calls under way say: how old they are, beside how long such calls take. Pure.

A call that has not ended is an observation too, of a time that is at least its age. Of every call
is kept for how long it should have taken; of those that ended, the spread of their time over that.
So for any calls of late it is known how many of them should have ended by now (the sum of their
cumulative hazards), and if far fewer have, they wait: before one of them has ended. This is the
one-sample log-rank test, over all stretches that reach up to now, as nobody says when a fall began.

The spread holds whatever makes times uncertain, wrong guesses of the answer's length included: the
less is known, the longer it takes to be sure.
"""

from collections import deque
from dataclasses import dataclass
from itertools import islice
from math import inf, log
from typing import Final

from broker.core.call_spread import CallSpread, place_of
from broker.core.call_window import WAIT_S

SLOWER: Final = 1.15
"""Calls that take up to so much longer than of late are not said to wait."""
_SURE: Final = 12.0
"""Chance does this once in e**12 looks."""
_LEAST_SURE: Final = 8.0 * _SURE
_FEWER: Final = 0.5
"""The share of those that should have ended, below which they wait."""
LATE_S: Final = 0.1
_LATE_PART: Final = 0.2
"""So much lateness of this process itself, or such a part of a call, is too much."""
_HEARD: Final = 8
_KEPT: Final = 256
_PARTS: Final = 128
"""Where more may be under way, every second (third ...) is looked at."""
_FIRST: Final = 4.0
"""In calls' time: those that end first are the quick ones, and say too little of the others."""
_LATELY: Final = 4.0
"""In calls' time: so long after it was late, they have to be twice as sure."""
LOOK_S: Final = 0.2
_USUAL: Final = 0.02
_MEDIAN: Final = 0.7
"""Where none of them has ended, so many should have by now: as likely more as less."""
_MOST_RATIO: Final = 16.0


@dataclass(slots=True, eq=False)
class Aged:
    """A call that is watched. `took` is None while it is under way; times without our own lag.

    `place` is where it then stands in the spread, were calls `SLOWER`.
    """

    sent: float
    should: float
    took: float | None = None
    gone: bool = False
    place: int = 0


@dataclass(slots=True)
class Waiting:
    """Calls under way were found to wait: `ratio` times as long as they should, as it looks.

    `heard` then takes the ends of those that were, for what they took in truth.
    """

    ratio: float
    since: float
    counted_from: float
    """By then those that were not too many yet have ended."""
    drained: bool = False
    _work: float = 0.0
    _calls: int = 0
    _seconds: float = 0.0
    _expected: float = 0.0

    def heard(self, call: Aged | None, seconds: float, expected: float, now: float) -> None:
        """A call has ended; `expected` by the tokens that its answer has in truth."""
        if now >= self.counted_from:
            self._work += expected
        if call is not None and call.sent >= self.since:
            self._calls += 1
            self._seconds += seconds
            self._expected += expected

    def served(self, now: float) -> float:
        """Calls served at once since `counted_from`, by the work that has ended."""
        return self._work / max(now - self.counted_from, 1e-3)

    @property
    def was_wrong(self) -> bool:
        """Whether they had not waited: their answers were longer than was thought."""
        return self._calls >= _HEARD and self._seconds < SLOWER * self._expected


class CallAges:
    """The latest calls, ended or not. Not thread-safe; times in seconds."""

    __slots__ = (
        "_due",
        "_lately",
        "_latest",
        "_look_at",
        "_lost_s",
        "_sent",
        "_spread",
        "_sure",
        "_told_s",
        "_usual_s",
        "waiting",
    )

    def __init__(self) -> None:
        self._latest: deque[Aged] = deque(maxlen=_KEPT)
        self._sure = _SURE
        self._lost_s = 0.0
        self._sent = 0
        self._due, self._told_s = inf, 0.0
        self._look_at = self._lately = 0.0
        self._usual_s = 1.0
        self.forget()

    def forget(self) -> None:
        """What is known of the spread does not hold any more."""
        self._spread = CallSpread()
        self._latest.clear()
        self.waiting: Waiting | None = None

    def pass_over(self) -> None:
        """Calls that are under way now are not looked at."""
        self._latest.clear()

    def settled(self, *, right: bool) -> None:
        """A check is over; `right`: they had waited."""
        if self.waiting is None:
            return
        self.waiting = None
        self._sure = _SURE if right else min(2 * self._sure, _LEAST_SURE)

    def sent(self, should: float, limit: int, now: float) -> Aged | None:
        """A call goes out that should take so long; None when it is not one that is watched."""
        self._sent += 1
        if should <= 0 or self._sent % (1 + limit // _PARTS):
            return None
        call = Aged(self._clock(now), should)
        self._usual_s += _USUAL * (should - self._usual_s)
        self._latest.append(call)
        return call

    def ended(self, call: Aged, now: float, *, learn: bool) -> None:
        """It was answered whole; `learn`: calls that wait for nothing take as long."""
        took = call.took = self._clock(now) - call.sent
        call.place = place_of(took / (call.should * SLOWER))
        if learn and not call.gone:
            self._spread.learn(took / call.should, now + _FIRST * self._usual_s)

    def due(self, now: float, due: float) -> None:
        """This process means to be here again at `due`; what comes later finds it late."""
        self._clock(now)
        self._due, self._told_s = due, 0.0

    def _clock(self, now: float) -> float:
        """The time without that for which this process was late itself.

        No call has aged by it; and of one that may have ended meanwhile, nothing is known.
        """
        late_s = now - self._due - self._told_s
        if late_s > 0:
            self._lost_s += late_s
            self._told_s += late_s
            if late_s > min(LATE_S, _LATE_PART * self._usual_s):
                self._lately = now
                for call in self._latest:
                    call.gone |= call.took is None
        return now - self._lost_s

    def served(self, now: float) -> float | None:
        """While calls waited so many were served at once: said once, when it was long enough."""
        waiting = self.waiting
        if waiting is None or waiting.drained:
            return None
        waiting.drained = True
        if now - waiting.counted_from < self._usual_s:
            return None
        return waiting.served(now)

    def look(self, now: float) -> Waiting | None:
        """The latest calls, if they wait; at most each `LOOK_S`. `waiting` is the first such.

        Once they do, it is looked again after half of the time that a call takes.
        """
        clock = self._clock(now)
        if now < self._look_at or not self._spread.known(now):
            return None
        if self.waiting is not None and self.waiting.drained:
            return None
        self._look_at = now + LOOK_S
        hazards = self._spread.hazards
        lately = now - self._lately < _LATELY * self._usual_s
        most, reach = self._sure * (2 if lately else 1), 0
        expected, ended = 0.0, 0
        for number, call in enumerate(reversed(self._latest), 1):
            if call.gone:
                continue
            if call.took is None:
                expected += hazards[place_of((clock - call.sent) / (call.should * SLOWER))]
            else:
                ended += 1
                expected += hazards[call.place]
            # No more than `expected` can be said of them.
            if expected > most and ended < _FEWER * expected:
                sure = expected - ended + (ended * log(ended / expected) if ended else 0.0)
                if sure > most:
                    most, reach = sure, number
        found = self._found(reach, now, clock) if reach else None
        self.waiting = self.waiting or found
        if self.waiting is not None:
            # What is done about it has to have time to help.
            self._look_at = now + max(LOOK_S, self._usual_s / 2)
        return found

    def _found(self, reach: int, now: float, clock: float) -> Waiting | None:
        calls = [call for call in islice(reversed(self._latest), reach) if not call.gone]
        times = [
            ((clock - call.sent if call.took is None else call.took) / call.should)
            for call in calls
        ]
        ended = sum(call.took is not None for call in calls) + _MEDIAN
        low, high = 1.0, _MOST_RATIO
        for _ in range(8):
            ratio = (low * high) ** 0.5
            if sum(self._spread.should_have_ended(time / ratio) for time in times) > ended:
                low = ratio
            else:
                high = ratio
        if (low - 1) * sum(call.should for call in calls) < WAIT_S * len(calls):
            return None
        # The older half may have been served at once yet.
        return Waiting(low, calls[len(calls) // 2].sent, now + self._usual_s)
