"""What a worker says in `llm.progress` of the prompts that it has.

Once a second it looks at what waits and at the calls under way, in the order in which they should
start, and says place and times of those that will take longer than a moment. It is a walk over what
this process holds, never more than `max_waiting` and the slots, and says no more than so many at
once: nothing is added to a dispatch or a call. What comes from another provider is looked at
sooner, and what goes to one is told so at once: what was said of it before is void.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from broker.core.breaker import Breaker
from broker.core.expected_time import call_seconds
from broker.core.lane_speeds import LaneSpeeds, Start
from broker.core.lane_wait import lane_wait
from broker.core.lanes import LANES, Lane
from broker.core.routing import Decision
from broker.core.turns import in_turn
from broker.records.progress import ProgressRecord, ProgressState, Range
from broker.telemetry.logs import get_logger
from workers.attempt import Attempts
from workers.dispatch import Dispatcher
from workers.job import Job
from workers.tallies import Tallies
from workers.words import Word, Words

LOOK_S: Final = 1.0
SOON_S: Final = 0.25
"""After something has come from another provider."""
MOST_A_LOOK: Final = 200
"""Records at once, so at most 200 a second."""
_PRIOR_FIRST_S: Final = 1.0
_PRIOR_TOKEN_S: Final = 0.02
_PRIOR_SPEED: Final = 100.0
"""Before anything was measured: of a call, and token units a second of a slot."""
_OVERDUE: Final = 0.25
"""A call that should have ended is expected to take this part of its age longer."""

Takes = Callable[[Job], float]
"""Seconds that a job's call should take."""


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


class Progress:
    """Says where prompts stand. Used on the event loop."""

    def __init__(self, given: Given, publish: Callable[[ProgressRecord], None]) -> None:
        self._given = given
        self._publish = publish
        self.words = Words()
        self._speeds = LaneSpeeds()
        self._left = float(MOST_A_LOOK)
        self._looked_at = 0.0
        self._stirred = asyncio.Event()
        given.tallies.expected.moves = self

    async def run(self) -> None:
        """Look and tell, until cancelled."""
        while True:
            began = time.monotonic()
            try:
                self.look(time.time())
            except Exception:  # noqa: BLE001 - a word too few harms nobody, a worker that ends does
                get_logger(provider=self._given.provider).exception("progress_not_told")
            # A long queue that many come to is not looked through all the time.
            took = time.monotonic() - began
            await asyncio.sleep(min(LOOK_S, max(SOON_S, 20 * took)))
            try:
                async with asyncio.timeout(LOOK_S - SOON_S):
                    await self._stirred.wait()
            except TimeoutError:
                continue

    def came(self, job: Job) -> None:
        """A job has come that was another provider's."""
        del job
        self._stirred.set()

    def left(self, job: Job, to: Decision, now: float) -> None:
        """A job goes to another provider: what was said of it here holds no more."""
        there = next((one for one in to.candidates if one.provider == to.provider), None)
        wait_s = 0.0 if there is None else there.wait_s
        ends_s = None if there is None or to.request is None else to.request.time_s(there)
        if not self.words.left(job, wait_s, ends_s, now) or self._left < 1:
            return
        self._left -= 1
        takes = wait_s + _prior(job) if ends_s is None else ends_s
        starts = self.words.elsewhere(job.lane, wait_s, now)
        ends = self.words.elsewhere(job.lane, takes, now)
        record = self._record(job, "waiting", None, (starts, ends), now)
        self._publish(replace(record, provider=to.provider, worker=""))

    def look(self, now: float) -> None:
        """Learn from what has come true, and say what is news."""
        given = self._given
        self._stirred.clear()
        self.words.learn()
        if given.breaker.state(now) == "closed":
            # While nothing may go out, nothing is learned about how quickly it goes.
            self._speeds.looked(given.tallies.expected.started, given.dispatcher.waiting, now)
        lines = given.tallies.expected.lines()

        def takes(job: Job) -> float:
            work = job.work
            seconds = call_seconds(lines, work.model, work.expected_output_tokens)
            return _prior(job) if seconds is None else seconds

        said = [self._waiting(lane, takes, now) for lane in LANES]
        said += [self._resting(takes, now), self._running(takes, now)]
        passed, self._looked_at = max(0.0, now - self._looked_at), now
        self._left = min(MOST_A_LOOK, self._left + MOST_A_LOOK * passed)
        left = int(self._left)
        for place, each in enumerate(said):
            # An equal part of what is left for each lane, and for the calls.
            for record in islice(each, left // (len(said) - place)):
                left -= 1
                self._left -= 1
                self._publish(record)

    def _waiting(self, lane: Lane, takes: Takes, now: float) -> Iterator[ProgressRecord]:
        dispatcher, words = self._given.dispatcher, self.words
        if not dispatcher.waiting[lane]:
            return
        opens = self._given.breaker.opens_again_at(now)
        shut_s = 0.0 if opens is None else max(0.0, opens - now)
        start = self._start(lane, now)
        jobs = in_turn(dispatcher.waiting_in(lane), now, dispatcher.share_of)
        for place, job in enumerate(jobs):
            # With itself: as long as it takes on average until the next one starts.
            starts_s = shut_s + start.after(job.weight)
            ends_s = starts_s + takes(job)
            if words.is_news(job, "waiting", ends_s, now):
                starts = words.say(job, "start", starts_s, now)
                ends = words.say(job, "end", ends_s, now)
                yield self._told(job, "waiting", place, _before(starts, ends), ends)

    def _resting(self, takes: Takes, now: float) -> Iterator[ProgressRecord]:
        """What may not start yet, by its tenant's rate or as it is tried again."""
        words = self.words
        for job, until in self._given.dispatcher.resting_until():
            start_s = self._start(job.lane, now).after(job.weight)
            ends_s = start_s + takes(job)
            if words.is_news(job, "waiting", max(0.0, until - now) + ends_s, now):
                starts = words.say(job, "start", start_s, now, since=until)
                ends = words.say(job, "end", ends_s, now, since=until)
                yield self._told(job, "waiting", None, _before(starts, ends), ends)

    def _running(self, takes: Takes, now: float) -> Iterator[ProgressRecord]:
        for job, began in self._given.tallies.expected.under_way():
            if self.words.stands(job, "running", now):
                continue
            age = now - began
            ends_s, overdue_s = takes(job) - age, _OVERDUE * age
            late = ends_s < overdue_s
            if self.words.is_news(job, "running", max(ends_s, overdue_s), now):
                ends = self.words.say(
                    job, "overdue" if late else "call", max(ends_s, overdue_s), now
                )
                yield self._told(job, "running", 0, (began, began), ends)

    def _told(
        self, job: Job, state: ProgressState, place: int | None, starts: Range, ends: Word
    ) -> ProgressRecord:
        self.words.told(job, state, ends)
        return self._record(job, state, place, (starts, (ends.low, ends.high)), ends.at)

    def _record(
        self,
        job: Job,
        state: ProgressState,
        place: int | None,
        ranges: tuple[Range, Range],
        at: float,
    ) -> ProgressRecord:
        starts, ends = ranges
        return ProgressRecord(
            id=job.work.id,
            tenant=job.tenant,
            provider=self._given.provider,
            worker=self._given.worker,
            lane=job.lane,
            state=state,
            place=place,
            starts_at=starts,
            ends_at=ends,
            at=at,
        )

    def _start(self, lane: Lane, now: float) -> Start:
        """When what waits in this lane starts: by what was measured, or as its slots should do."""
        measured = self._speeds.of(lane, now)
        if measured is not None:
            return Start(measured, self._speeds.usual(lane) or measured)
        dispatcher, tallies = self._given.dispatcher, self._given.tallies
        whole = tallies.speed.of(dispatcher.slots) or _PRIOR_SPEED * dispatcher.slots
        weights = [float(dispatcher.waiting_weight[each]) for each in LANES]
        own = float(dispatcher.waiting_weight[lane])
        wait = lane_wait(weights, lane, whole)
        speed = own / wait if wait > 0 and own > 0 else whole
        return Start(speed, speed)


def _before(starts: Word, ends: Word) -> Range:
    """The range of a start: each is learned by itself, and none is after its end."""
    return min(starts.low, ends.low), min(starts.high, ends.high)


def _prior(job: Job) -> float:
    return _PRIOR_FIRST_S + _PRIOR_TOKEN_S * job.work.expected_output_tokens
