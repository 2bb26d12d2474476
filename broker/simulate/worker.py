"""One provider's worker in virtual time: the real one's parts, and what its event loop does.

`Answering` and `Attempts` of a worker run on asyncio and the wall clock. What they do at each
moment is done here at a moment of virtual time, with the same parts in the same order. Left out
are Kafka, HTTP and hedging.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf, isfinite
from typing import Final

from broker.classifier.learning import Begun
from broker.core.breaker import Breaker, BreakerRules
from broker.core.output_length import Answered
from broker.core.retries import RetryRules
from broker.core.retry_budget import RetryBudget
from broker.core.slots import SlotRules
from broker.records.providers import ProviderState
from broker.records.work import Work
from broker.settings import Settings
from broker.settings.route_terms import route_terms
from broker.simulate.asked import Asked
from broker.simulate.attempts import Attempted, Ended, Followed
from broker.simulate.clouds import Call, Cloud
from broker.simulate.events import Events
from broker.simulate.learned import Learned
from broker.simulate.reports import Reporter
from workers.dispatch import Dispatcher
from workers.ends import Move, Rest
from workers.job import Job, JobState, Place
from workers.leaving import RELOCATE_EVERY_S, Leaving
from workers.moving import Mover
from workers.providers.registry import adapter_for
from workers.quota_keeping import Allowance
from workers.ticket import Ticket

_SHORTEST_TIMER_S: Final = 0.002
_ALL: Final = 1_000_000
_NOWHERE: Final = Place("", 0, 0, 0)

Reports = Callable[[], Mapping[str, Sequence[ProviderState]]]


class SimulatedWorker:
    """A worker of one provider. `tell` is told how each of its jobs ends here.

    It has nothing of the provider's limits before it is `assigned` partitions. `slot` is its number
    among those of its pool.
    """

    def __init__(
        self,
        provider: str,
        slot: int,
        settings: Settings,
        events: Events,
        cloud: Cloud,
        *,
        reports: Reports,
        chance: Callable[[], float],
        tell: Ended,
        learn: Callable[[Answered | Begun], None],
        learned: Learned,
    ) -> None:
        given, bounds, now = settings.provider(provider), settings.worker, events.now
        self.provider, self.name = provider, f"{provider}-{slot}"
        self._events = events
        self._cloud = cloud
        self._tell = tell
        self._asked: dict[Job, Asked] = {}
        self.dispatcher = Dispatcher(
            SlotRules(given.max_in_flight, light_share=settings.lanes.reserved_light),
            settings.tenant_terms().share_of,
        )
        self._allowance = Allowance(self.name, given, self.dispatcher, now)
        self._breaker = Breaker(BreakerRules())
        self._budget = RetryBudget(bounds.retry_budget)
        self._mover = Mover(
            terms=route_terms(settings),
            reports=reports,
            now=now,
            provider=provider,
            worker=self.name,
        )
        self._attempted = Attempted(
            provider,
            settings,
            breaker=self._breaker,
            mover=self._mover,
            allowance=self._allowance,
            rules=RetryRules(
                base_s=bounds.retry_base_s,
                cap_s=bounds.retry_cap_s,
                max_calls=bounds.max_attempts,
                table=adapter_for(given).retries,
            ),
            chance=chance,
            learn=learn if learned.wants_ends else None,
        )
        self._begun = learn if learned.wants_starts else None
        self._leaving = Leaving(self._attempted.here, chance)
        self.reporter = Reporter(
            provider,
            self.dispatcher,
            self._breaker,
            self._attempted.tallies,
            self._allowance,
            worker=self.name,
            reports=reports,
            adaptive=given.adaptive,
        )
        self._armed = inf

    def assigned(self, partitions: int, of: int, now: float) -> None:
        """So many of the work topic's partitions are this worker's."""
        self._allowance.assigned(partitions, of, now)

    def arrived(self, work: Work, asked: Asked, lane: str) -> None:
        """Work came to its topic and was read."""
        job = Job(_NOWHERE, lane, 0, work, work.attempt)  # type: ignore[arg-type]  # a lane's name
        self._asked[job] = asked
        self.dispatcher.add(job, self._events.now)
        self.pump()

    def pump(self) -> None:
        """Start what may start now, and see to what cannot."""
        now, dispatcher = self._events.now, self.dispatcher
        due = dispatcher.next_change()
        if due is not None and due <= now:
            dispatcher.wake(now)
            for job in dispatcher.take_expired(now, _ALL):
                self._finish(job, Followed("expired", "deadline_passed"))
        self._start_jobs(now)
        self._arm(now)

    def _start_jobs(self, now: float) -> None:
        dispatcher, waiting = self.dispatcher, self.dispatcher.waiting
        may_start = self._allowance.at(now)
        while any(waiting.values()):
            ticket = Ticket.ask(self._breaker, now)
            if ticket is None:
                self._move(self._leaving.while_off(dispatcher.held, now))
                return
            job = dispatcher.next_job(may_start)
            if job is None:
                ticket.unheard()
                self._move(self._leaving.while_held_up(dispatcher.waiting_in, now))
                return
            if job.retries and not self._budget.may_retry(now):
                dispatcher.ended(job)
                self._end(job, self._leaving.without_retry(job, now))
                ticket.unheard()
                continue
            if not job.retries:
                self._budget.called(now)
            self._allowance.take(job, now)
            self._call(job, ticket, now)

    def _call(self, job: Job, ticket: Ticket, now: float) -> None:
        job.calls += 1
        job.calls_here += 1
        if job.first_call_at is None:
            job.first_call_at = now
            if self._begun is not None:
                self._begun(Begun(job.work.weight, job.lane, now))
        self._attempted.tallies.expected.began(job, now)
        self._allowance.sent(job, now)
        self._cloud.begin(Call(job, self._asked[job], ticket, job.calls, now, self._ended))

    def _ended(self, call: Call) -> None:
        """A call has ended: what follows, carried out."""
        job, now = call.job, self._events.now
        self._attempted.tallies.expected.over(job)
        follows = self._attempted.follows(call, now)
        call.ticket.unheard()
        self.dispatcher.ended(job)
        self._allowance.ended(job, now, called=False)
        if isinstance(follows, Followed):
            if follows.status == "succeeded":
                self._budget.succeeded()
        else:
            self._budget.failed(now)
        self._end(job, follows)
        self.pump()

    def _move(self, moves: Iterable[tuple[Job, Move]]) -> None:
        for job, move in moves:
            self.dispatcher.remove(job)
            self._end(job, move)

    def _end(self, job: Job, end: Rest | Move | Followed) -> None:
        """Carry out the end of an attempt, or of a wait; the job holds no slot."""
        now = self._events.now
        if isinstance(end, Rest):
            self.dispatcher.rest(job, end.until)
        elif isinstance(end, Followed):
            self._finish(job, end)
        else:
            job.state = JobState.SETTLED
            self._mover.moved(job, end.to.provider, now)
            self._tell.moved(self.provider, job, self._asked.pop(job), end.to)

    def _finish(self, job: Job, end: Followed) -> None:
        job.state = JobState.SETTLED
        del self._asked[job]
        self._tell.finished(self.provider, job, end)

    def _arm(self, now: float) -> None:
        """Come back when a rest, a deadline, the breaker's open time or a quota's wait ends."""
        due = self.dispatcher.next_change()
        due = inf if due is None else due
        if any(self.dispatcher.waiting.values()) and self._breaker.state(now) != "closed":
            again = self._breaker.opens_again_at(now)
            due = min(due, inf if again is None else again, now + RELOCATE_EVERY_S)
        if isfinite(self._allowance.soonest_s):
            due = min(due, now + min(self._allowance.soonest_s, RELOCATE_EVERY_S))
        if due == inf:
            return
        due = max(due, now + _SHORTEST_TIMER_S)
        if due < self._armed:
            self._armed = due
            self._events.at(due, self._due, due)

    def _due(self, due: float) -> None:
        """A timer; one that an earlier one has replaced does nothing."""
        if due == self._armed:
            self._armed = inf
            self.pump()
