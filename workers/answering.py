"""Takes work from its arrival to its end: what runs when, and how each end is carried out.

Everything here runs on the event loop. `pump` is the one place where anything is started.
"""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from broker.core.retries import RetryBudget, backoff
from broker.core.routing import Decision
from broker.log.units import Unit
from broker.telemetry.logs import get_logger
from workers.attempt import Attempts, End, Finish, Move, Rest, is_able
from workers.backlog import Backlog
from workers.dispatch import Dispatcher
from workers.job import Arrival, Job, JobState, UnreadableWork

RELOCATE_EVERY_S: Final = 0.25
"""While the breaker is open, what waits is offered to other providers this often."""
GIVE_UP_S: Final = 1.0
_SHORTEST_TIMER_S: Final = 0.002


class Committer(Protocol):
    """What of the transactional writer is needed here."""

    @property
    def room(self) -> int:
        """Units that it would take now."""

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


class Answering:
    """The event-loop side of a worker."""

    def __init__(self, parts: Parts) -> None:
        self._attempts = parts.attempts
        self._dispatcher = parts.dispatcher
        self._backlog = parts.backlog
        self._budget = parts.budget
        self._committer = parts.committer
        self._breaker = parts.attempts.breaker
        self._running: dict[Job, asyncio.Task[None]] = {}
        self._units: list[Unit] = []
        self._loop = asyncio.get_running_loop()
        self._pump_due = False
        self._timer: asyncio.TimerHandle | None = None
        self._relocated_at = 0.0
        self._taking = True
        self._log = get_logger(provider=parts.attempts.provider)

    @property
    def running(self) -> int:
        """Jobs that have a slot."""
        return len(self._running)

    def arrived(self, batch: Sequence[Arrival]) -> None:
        """Take in what was read."""
        for item in batch:
            if isinstance(item, UnreadableWork):
                self._unreadable(item)
            else:
                self._dispatcher.add(item)
        self.pump()

    def dropped(self, partitions: frozenset[int]) -> None:
        """These partitions are another worker's now: it does what is not committed."""
        for job in self._dispatcher.drop(lambda job: job.place.partition in partitions):
            self._backlog.started(job.lane)
            self._backlog.ended(job.lane, job.size)
        for job, task in self._running.items():
            if job.place.partition in partitions:
                job.state = JobState.GONE
                task.cancel()

    def stop_taking(self) -> None:
        """Start nothing more. What waits stays uncommitted, for whoever reads on."""
        self._taking = False

    async def finish(self, deadline_s: float) -> int:
        """Wait for what runs, and give up on the rest; how many calls were given up."""
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
        dispatcher = self._dispatcher
        if self._taking:
            dispatcher.wake(now)
            for job in dispatcher.take_expired(now):
                self._backlog.started(job.lane)
                self._end(job, self._attempts.expired(job), now)
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
        times = [self._dispatcher.next_change()]
        if any(self._dispatcher.waiting.values()):
            again = self._breaker.opens_again_at(now)
            times.append(None if again is None else min(again, now + RELOCATE_EVERY_S))
        due = min((at for at in times if at is not None), default=None)
        if due is not None and self._taking:
            self._timer = self._loop.call_later(max(due - now, _SHORTEST_TIMER_S), self.pump)

    def _start_jobs(self, now: float) -> None:
        dispatcher, breaker = self._dispatcher, self._breaker
        # Whatever runs will need room for its result, so that none is ever refused.
        room = self._committer.room - dispatcher.in_flight - len(self._units)
        waiting = dispatcher.waiting
        while room > 0 and any(waiting.values()):
            ticket = breaker.allows(now)
            if ticket is None:
                self._relocate(now)
                return
            job = dispatcher.next_job()
            if job is None:
                breaker.unheard(ticket)
                return
            self._backlog.started(job.lane)
            if not self._may_call(job, now):
                breaker.unheard(ticket)
                continue
            room -= 1
            self._running[job] = self._loop.create_task(self._run(job, ticket))

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
        because = f"{job.last_failure}, and the budget of retries is used up"
        chosen = self._attempts.mover.choose(job, because, now)
        if isinstance(chosen, Decision) and is_able(chosen):
            self._end(job, Move(chosen), now)
        else:
            jitter = random.random()  # noqa: S311 - it spreads retries, it guards nothing
            pause = backoff(job.calls_here + 1, self._attempts.rules, jitter)
            self._end(job, Rest(now + pause), now)
        return False

    def _relocate(self, now: float) -> None:
        """The breaker lets no call out: what waits goes where it can be done, if anywhere."""
        if now - self._relocated_at < RELOCATE_EVERY_S:
            return
        self._relocated_at = now
        again = self._breaker.opens_again_at(now)
        state = "is being tried again" if again is None else f"is off for {again - now:.1f} s"
        for job in list(self._dispatcher.held()):
            chosen = self._attempts.mover.choose(job, state, now)
            if isinstance(chosen, Decision) and is_able(chosen):
                self._dispatcher.remove(job)
                self._backlog.started(job.lane)
                self._end(job, Move(chosen), now)

    async def _run(self, job: Job, ticket: int) -> None:
        end: End | None = None
        try:
            end = await self._attempts.run(job, ticket)
        except asyncio.CancelledError:
            # Only `dropped` and `finish` cancel: nothing may come of this job here any more.
            job.state = JobState.GONE
        except Exception as error:  # noqa: BLE001 - whatever it is, the prompt must get its end
            self._breaker.unheard(ticket)
            self._log.error("job_failed", id=job.work.id, error=type(error).__name__)
            end = self._attempts.failed(job, "internal", "The worker failed in the middle of it.")
        del self._running[job]
        self._dispatcher.ended(job)
        if end is None or job.state is JobState.GONE:
            self._backlog.ended(job.lane, job.size)
        else:
            self._end(job, end, time.time())
        self._pump_soon()

    def _end(self, job: Job, end: End, now: float) -> None:
        """Carry out the end of an attempt, or of a wait; the job holds no slot."""
        attempts = self._attempts
        if isinstance(end, Rest):
            self._dispatcher.rest(job, end.until)
            self._backlog.rests(job.lane)
            return
        job.state = JobState.SETTLED
        self._backlog.ended(job.lane, job.size)
        if isinstance(end, Finish):
            completion = end.completion
            attempts.tallies.completed(
                job.lane, completion.status, completion.input_tokens, completion.output_tokens
            )
            self._units.append(attempts.endings.completed(job, completion, end.value))
        else:
            to = end.to
            attempts.mover.moved(job, to.provider, now)
            attempts.tallies.moved(to.provider, to.reason)
            self._units.append(attempts.endings.moved(job, to.provider, to.sentence, now))

    def _unreadable(self, record: UnreadableWork) -> None:
        place = record.place
        self._log.error(
            "bad_work_record",
            topic=place.topic,
            partition=place.partition,
            offset=place.offset,
            code=record.code,
        )
        self._attempts.tallies.unreadable()
        self._backlog.started(record.lane)
        self._backlog.ended(record.lane, record.size)
        self._units.append(self._attempts.endings.unreadable(record, time.time()))
