"""Takes work from its arrival to its end: what runs when, and how each end is carried out.

Everything here runs on the event loop. `pump` is the one place where anything is started.
"""

import asyncio
import math
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol

from broker.core.cancels import Cancels
from broker.core.retry_budget import RetryBudget
from broker.log.units import Unit
from workers.attempt import Attempts
from workers.backlog import Backlog
from workers.dispatch import Dispatcher
from workers.ends import End, Finish, Move, Rest
from workers.job import Arrival, Job, JobState
from workers.leaving import RELOCATE_EVERY_S, Leaving
from workers.settling import Settling
from workers.ticket import Ticket
from workers.unstarted import Unstarted

GIVE_UP_S: Final = 1.0
_SHORTEST_TIMER_S: Final = 0.002


class Committer(Protocol):
    """What of the transactional writer is needed here."""

    @property
    def room(self) -> int:
        """Units that it would take now; once it grows, `Answering.pump` is called."""

    def submit(self, units: Sequence[Unit]) -> None:
        """Commit these when their turn comes; never blocks."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a worker's event-loop side is made of."""

    attempts: Attempts
    dispatcher: Dispatcher
    backlog: Backlog
    budget: RetryBudget
    committer: Committer
    cancels: Cancels = field(default_factory=Cancels)


class Answering:
    """The event-loop side of a worker."""

    def __init__(self, parts: Parts) -> None:
        self._attempts = parts.attempts
        self._dispatcher = parts.dispatcher
        self._backlog = parts.backlog
        self._budget = parts.budget
        self._committer = parts.committer
        self._breaker = parts.attempts.breaker
        self._allowance = parts.attempts.allowance
        self._running: dict[Job, asyncio.Task[End]] = {}
        self._leaving = Leaving(parts.attempts)
        self._settling = Settling(parts.attempts)
        self._unstarted = Unstarted(
            parts.attempts, parts.dispatcher, parts.backlog, self._settling, parts.cancels
        )
        self._units: list[Unit] = []
        self._loop = asyncio.get_running_loop()
        self._pump_due = False
        self._timer: asyncio.TimerHandle | None = None
        self._taking = True

    @property
    def running(self) -> int:
        """Jobs that have a slot."""
        return len(self._running)

    def arrived(self, batch: Sequence[Arrival]) -> None:
        """Take in what was read."""
        self._unstarted.arrived(batch)
        self.pump()

    def cancelled(self, ids: Collection[str]) -> None:
        """Prompts were cancelled: what waits here ends so, and what runs is stopped.

        What has ended already is ended: its unit is the committer's.
        """
        self._unstarted.cancelled(ids)
        for job, task in self._running.items():
            if job.work.id in ids and self._unstarted.is_cancelled(job):
                job.cancelled = True
                task.cancel()
        self.pump()

    def dropped(self, partitions: frozenset[int]) -> None:
        """These partitions are another worker's now: it does what is not committed."""
        self._unstarted.dropped(partitions)
        for job, task in self._running.items():
            if job.place.partition in partitions:
                job.state = JobState.GONE
                task.cancel()

    def stop_taking(self) -> None:
        """Start nothing more. What waits stays uncommitted, for whoever reads on."""
        self._taking = False

    async def finish(self, deadline_s: float) -> int:
        """Start nothing more, wait for what runs, give up on the rest; how many were given up."""
        self.stop_taking()
        late = set(self._running.values())
        if late:
            _, late = await asyncio.wait(late, timeout=deadline_s)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=GIVE_UP_S)
        self.pump()
        return len(late)

    def pump(self) -> None:
        """Start what may start now, and hand over what has ended."""
        self._pump_due = False
        now = time.time()
        if self._taking:
            self._dispatcher.wake(now)
            self._units += self._unstarted.ends(now, self._room())
            self._start_jobs(now)
        if self._units:
            units, self._units = self._units, []
            self._committer.submit(units)
        self._arm(now)

    def _pump_soon(self) -> None:
        if not self._pump_due:
            self._pump_due = True
            self._loop.call_soon(self.pump)

    def _arm(self, now: float) -> None:
        """Come back when a rest, a deadline or the breaker's open time ends."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._taking:
            return
        times = [self._dispatcher.next_change()]
        if any(self._dispatcher.waiting.values()) and self._breaker.state(now) != "closed":
            again = self._breaker.opens_again_at(now)
            times.append(min(again or math.inf, now + RELOCATE_EVERY_S))
        if math.isfinite(self._allowance.soonest_s):
            times.append(now + min(self._allowance.soonest_s, RELOCATE_EVERY_S))
        due = min((at for at in times if at is not None), default=None)
        if due is not None:
            # Without room nothing can be done about it; then a commit calls us, or at last this.
            shortest = _SHORTEST_TIMER_S if self._room() > 0 else RELOCATE_EVERY_S
            self._timer = self._loop.call_later(max(due - now, shortest), self.pump)

    def _room(self) -> int:
        """Units that may be made beside those of what runs, which all need their place."""
        return self._committer.room - self._dispatcher.in_flight - len(self._units)

    def _start_jobs(self, now: float) -> None:
        dispatcher, allowance = self._dispatcher, self._allowance
        room = self._room()
        may_start = allowance.at(now)
        while room > 0 and any(dispatcher.waiting.values()):
            ticket = Ticket.ask(self._breaker, now)
            if ticket is None:
                self._relocate(now)
                return
            job = dispatcher.next_job(may_start)
            if job is None:
                ticket.unheard()
                self._move(self._leaving.while_held_up(dispatcher.waiting_in, now), now)
                return
            room -= 1
            self._backlog.started(job)
            if not self._may_call(job, now):
                ticket.unheard()
                continue
            allowance.take(job, now)
            task = self._loop.create_task(self._attempts.run(job, ticket))
            self._running[job] = task
            task.add_done_callback(partial(self._ran, job, ticket))

    def _may_call(self, job: Job, now: float) -> bool:
        """Whether the budget lets this job be called; else it moves, or rests again."""
        if not job.retries:
            self._budget.called(now)
            return True
        tallies = self._attempts.tallies
        if self._budget.may_retry(now):
            tallies.retried("made")
            return True
        tallies.retried("denied")
        self._dispatcher.ended(job)
        self._end(job, self._leaving.without_retry(job, now), now)
        return False

    def _relocate(self, now: float) -> None:
        """The breaker lets no call out: what waits goes where it can be done, if anywhere."""
        self._move(self._leaving.while_off(self._dispatcher.held, now), now)

    def _move(self, moves: Iterable[tuple[Job, Move]], now: float) -> None:
        """Hand over what need not wait here, as far as there is room."""
        for job, move in moves:
            self._dispatcher.remove(job)
            self._backlog.started(job)
            self._end(job, move, now)
            if self._room() <= 0:
                return

    def _ran(self, job: Job, ticket: Ticket, task: asyncio.Task[End]) -> None:
        """An attempt has ended: a callback, as a task cancelled before it began runs no code."""
        ticket.unheard()
        del self._running[job]
        self._dispatcher.ended(job)
        # `dropped` and `finish` cancel too: then nothing may come of this job here any more.
        error = None if task.cancelled() else task.exception()
        # Of a call that was cut off nobody knows what it used.
        self._allowance.ended(job, time.time(), called=task.cancelled() or error is not None)
        if job.state is JobState.GONE or (task.cancelled() and not job.cancelled):
            job.state = JobState.GONE
            self._backlog.ended(job)
        elif task.cancelled():
            self._end(job, self._attempts.cancelled(job), time.time())
        elif error is not None:
            self._release(job)
            self._units.append(self._settling.broke(job, error, time.time()))
        else:
            now, end = time.time(), task.result()
            self._hear(end, now)
            if job.cancelled and not isinstance(end, Finish):
                end = self._attempts.cancelled(job)
            self._end(job, end, now)
        self._pump_soon()

    def _hear(self, end: End, now: float) -> None:
        """What an attempt's end says to the budget of retries."""
        if not isinstance(end, Finish):
            self._budget.failed(now)
        elif end.completion.status == "succeeded":
            self._budget.succeeded()

    def _end(self, job: Job, end: End, now: float) -> None:
        """Carry out the end of an attempt, or of a wait; the job holds no slot."""
        if isinstance(end, Rest):
            self._dispatcher.rest(job, end.until)
            self._backlog.rests(job)
            return
        self._release(job)
        self._units.append(self._settling.ended(job, end, now))

    def _release(self, job: Job) -> None:
        job.state = JobState.SETTLED
        self._backlog.ended(job)
