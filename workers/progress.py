"""What a worker says in `llm.progress` of the prompts that it has, and what came of its words.

Once a second it looks at what waits and at the calls under way, in the order in which they should
start, and says place and times of those that will take longer than a moment. It is a walk over what
this process holds, never more than `max_waiting` and the slots, and says no more than so many at
once: nothing is added to a dispatch or a call.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from broker.core.breaker import Breaker
from broker.core.eta import Kind, LaneSpeeds, Ranges
from broker.core.expected_time import call_seconds
from broker.core.lane_wait import lane_wait
from broker.core.lanes import LANES, Lane
from broker.core.turns import in_turn
from broker.records.progress import ProgressRecord, ProgressState
from broker.telemetry.logs import get_logger
from workers.attempt import Attempts
from workers.dispatch import Dispatcher
from workers.job import Job, JobState
from workers.tallies import Tallies

LOOK_S: Final = 1.0
MOST_A_LOOK: Final = 200
"""Records at once, so at most 200 a second."""
WORTH_S: Final = 1.0
"""What is expected to end within this is not worth a word."""
AGAIN_S: Final = 60.0
"""What was said longer ago is said again, as far as there is room."""
_CHANGED: Final = 1.5
"""And what changed by more than this factor, or left the range."""
_MOST_KEPT: Final = 20_000
"""Prompts whose words are kept until they come true; of others nothing is said."""
_PRIOR_FIRST_S: Final = 1.0
_PRIOR_TOKEN_S: Final = 0.02
_PRIOR_SPEED: Final = 100.0
"""Before anything was measured: of a call, and token units a second of a slot."""
_OVERDUE: Final = 0.25
"""A call that should have ended is expected to take this part of its age longer."""


@dataclass(frozen=True, slots=True)
class Given:
    """The worker that is looked at."""

    provider: str
    worker: str
    dispatcher: Dispatcher
    attempts: Attempts

    @property
    def breaker(self) -> Breaker:
        """The breaker in front of the provider."""
        return self.attempts.breaker

    @property
    def tallies(self) -> Tallies:
        """What its calls were like."""
        return self.attempts.tallies


@dataclass(frozen=True, slots=True)
class _Word:
    """Something said at `at`: so many seconds from then, and the range in unix seconds."""

    kind: Kind
    lane: Lane
    at: float
    expected_s: float
    low: float
    high: float


@dataclass(slots=True)
class _Said:
    """All that was said of a job and has not come true."""

    state: ProgressState
    at: float = 0.0
    ends_s: float = 0.0
    high: float = 0.0
    words: list[_Word] = field(default_factory=list)


class Progress:
    """Says where prompts stand. Used on the event loop."""

    def __init__(self, given: Given, publish: Callable[[ProgressRecord], None]) -> None:
        self._given = given
        self._publish = publish
        self._ranges = Ranges()
        self._speeds = LaneSpeeds()
        self._said: dict[Job, _Said] = {}

    async def run(self) -> None:
        """Look and tell, until cancelled."""
        while True:
            try:
                self.look(time.time())
            except Exception:  # noqa: BLE001 - a word too few harms nobody, a worker that ends does
                get_logger(provider=self._given.provider).exception("progress_not_told")
            await asyncio.sleep(LOOK_S)

    def look(self, now: float) -> None:
        """Learn from what has come true, and say what is news."""
        given = self._given
        self._learn()
        if given.breaker.state(now) == "closed":
            # While nothing may go out, nothing is learned about how quickly it goes.
            self._speeds.looked(given.tallies.expected.started, given.dispatcher.waiting, now)
        lines = given.tallies.expected.lines()

        def takes(job: Job) -> float:
            work = job.work
            seconds = call_seconds(lines, work.model, work.expected_output_tokens)
            if seconds is None:
                return _PRIOR_FIRST_S + _PRIOR_TOKEN_S * work.expected_output_tokens
            return seconds

        words = [self._waiting(lane, takes, now) for lane in LANES]
        words.append(self._running(takes, now))
        left = MOST_A_LOOK
        for place, each in enumerate(words):
            # An equal part of what is left for each lane, and for the calls.
            for record in islice(each, left // (len(words) - place)):
                left -= 1
                self._publish(record)

    def _waiting(
        self, lane: Lane, takes: Callable[[Job], float], now: float
    ) -> Iterator[ProgressRecord]:
        dispatcher = self._given.dispatcher
        if not dispatcher.waiting[lane]:
            return
        speed = self._speed(lane, now)
        opens = self._given.breaker.opens_again_at(now)
        shut_s = 0.0 if opens is None else max(0.0, opens - now)
        ahead = 0
        jobs = in_turn(dispatcher.waiting_in(lane), now, dispatcher.share_of)
        for place, job in enumerate(jobs):
            # With itself: as long as it takes on average until the next one starts.
            ahead += job.weight
            starts_s = shut_s + ahead / speed
            ends_s = starts_s + takes(job)
            if self._is_news(job, "waiting", ends_s, now):
                starts = self._word(job, "start", starts_s, now)
                ends = self._word(job, "end", ends_s, now)
                yield self._record(job, "waiting", place, (starts.low, starts.high), ends)

    def _running(self, takes: Callable[[Job], float], now: float) -> Iterator[ProgressRecord]:
        for job, began in self._given.tallies.expected.under_way():
            said = self._said.get(job)
            if said is not None and said.state == "running" and now <= said.high:
                continue
            age = now - began
            ends_s = max(takes(job) - age, _OVERDUE * age)
            if self._is_news(job, "running", ends_s, now):
                ends = self._word(job, "call", ends_s, now)
                yield self._record(job, "running", 0, (began, began), ends)

    def _is_news(self, job: Job, state: ProgressState, ends_s: float, now: float) -> bool:
        """Whether it is worth a word, and not what was said of it already."""
        said = self._said.get(job)
        if said is None:
            return ends_s >= WORTH_S and len(self._said) < _MOST_KEPT
        if said.state != state or now > said.high or now - said.at > AGAIN_S:
            return True
        left = max(0.0, said.at + said.ends_s - now) + WORTH_S
        return not left / _CHANGED <= ends_s + WORTH_S <= left * _CHANGED

    def _word(self, job: Job, kind: Kind, expected_s: float, now: float) -> _Word:
        low, high = self._ranges.of(kind, job.lane, expected_s)
        word = _Word(kind, job.lane, now, expected_s, now + low, now + high)
        said = self._said.get(job)
        if said is None:
            said = self._said[job] = _Said("waiting")
        said.words.append(word)
        return word

    def _record(
        self,
        job: Job,
        state: ProgressState,
        place: int,
        starts: tuple[float, float],
        ends: _Word,
    ) -> ProgressRecord:
        said = self._said[job]
        said.state, said.at, said.ends_s, said.high = state, ends.at, ends.expected_s, ends.high
        given = self._given
        return ProgressRecord(
            id=job.work.id,
            tenant=job.tenant,
            provider=given.provider,
            worker=given.worker,
            lane=job.lane,
            state=state,
            place=place,
            starts_at=starts,
            ends_at=(ends.low, ends.high),
            at=ends.at,
        )

    def _learn(self) -> None:
        """Compare what was said with what came; forget what never will."""
        for job, said in list(self._said.items()):
            if job.first_call_at is not None:
                self._came(said, ("start",), job.first_call_at)
            if job.answered_at is not None:
                self._came(said, ("end", "call"), job.answered_at)
            if job.state in (JobState.SETTLED, JobState.GONE):
                del self._said[job]

    def _came(self, said: _Said, kinds: tuple[Kind, ...], at: float) -> None:
        left = []
        for word in said.words:
            if word.kind not in kinds:
                left.append(word)
            elif at >= word.at:  # else it was said of a later call
                self._ranges.met(
                    word.kind,
                    word.lane,
                    word.expected_s,
                    at - word.at,
                    within=word.low <= at <= word.high,
                )
        said.words = left

    def _speed(self, lane: Lane, now: float) -> float:
        """Token units a second that start in this lane: measured, or as its slots should do."""
        measured = self._speeds.of(lane, now)
        if measured is not None:
            return measured
        dispatcher, tallies = self._given.dispatcher, self._given.tallies
        whole = tallies.speed.of(dispatcher.slots) or _PRIOR_SPEED * dispatcher.slots
        weights = [float(dispatcher.waiting_weight[each]) for each in LANES]
        own = float(dispatcher.waiting_weight[lane])
        wait = lane_wait(weights, lane, whole)
        return own / wait if wait > 0 and own > 0 else whole
