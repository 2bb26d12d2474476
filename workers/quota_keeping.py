"""What this worker may ask of its provider now: by quotas, by calls at once, by its own word.

Everything here runs on the event loop and is told what happens to calls; the rules are those of
`broker.core.quotas`, `broker.core.quota_shares` and `broker.core.concurrency`.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

from broker.core.concurrency import Begun, ConcurrencyLimit
from broker.core.quota_shares import Claim, QuotaShare
from broker.core.quotas import Left, PerMinute, Quotas
from broker.core.retries import CONCURRENCY_LIMIT
from broker.records.providers import ProviderState
from broker.records.work import Work
from broker.settings.providers import ProviderSettings
from workers.calling import CallResult
from workers.dispatch import Dispatcher
from workers.job import Job
from workers.providers.dialect import LimitsSeen
from workers.taken import Taken

LONGEST_PAUSE_S: Final = 3_600.0
"""A provider that asks for a longer pause is asked again after this."""
STUCK_S: Final = 10.0
"""A call under way for longer than this, and than `_STUCK` times what it should take, is stuck."""
_STUCK: Final = 4.0
_LAG_KEPT: Final = 0.8
"""What each look leaves of the event loop's lag: some tenths of a second of lag are gone in one."""
_USED_OVER_S: Final = 10.0
_KEPT: Final = 0.95
_TOO_MANY: Final = 429
_OVERLOADED: Final = (503, 529)
_ERRORS: Final = 400


class Allowance:
    """One worker's allowance. `worker` is its name in `llm.providers`."""

    def __init__(
        self, worker: str, given: ProviderSettings, dispatcher: Dispatcher, now: float
    ) -> None:
        self._worker = worker
        self._keeps_reserved = given.tokens_counted == "reserved"
        self._dispatcher = dispatcher
        self.quotas = Quotas(
            PerMinute(given.requests_per_minute, given.tokens_per_minute),
            {
                alias: PerMinute(served.requests_per_minute, served.tokens_per_minute)
                for alias, served in given.models.items()
            },
            share=0.0,
            now=now,
        )
        self.share = QuotaShare()
        self.most_slots = given.max_in_flight
        """Calls at once that the settings allow."""
        self._concurrency = ConcurrencyLimit(given.max_in_flight, now) if given.adaptive else None
        self._most_of = {alias: served.max_in_flight for alias, served in given.models.items()}
        self._of_model: Counter[str] = Counter()
        self._under_way: dict[Taken, float] = {}
        self._stuck: set[Taken] = set()
        self._lag_s = 0.0
        self._look_due = math.inf
        self._resize()
        self._now = now
        self._weight = self._tokens = 0.0
        self.soonest_s = math.inf
        """After questions from `at` on: in how many seconds one that was refused may start."""

    def at(self, now: float) -> Callable[[Job], bool]:
        """Whether a job may start at `now`, to be asked for one after the other."""
        self._now, self.soonest_s = now, math.inf
        return self._may_start

    def _may_start(self, job: Job) -> bool:
        if self._is_full(job.work.model):
            return False  # until one of its calls ends, and nobody knows when
        wait = self.quotas.wait(job.work.model, job.lane, estimated(job.work), self._now)
        if wait <= 0:
            return True
        self.share.waits(self._now)
        self.soonest_s = min(self.soonest_s, wait)
        return False

    def has_room(self, job: Job, now: float) -> bool:
        """Whether a call may start beside the one that the job has under way."""
        if self._dispatcher.in_flight >= self._dispatcher.slots or self._is_full(job.work.model):
            return False
        tokens = estimated(job.work)
        return self.quotas.wait(job.work.model, job.lane, tokens, now) <= 0

    def take(self, job: Job, now: float, *, beside: bool = False) -> None:
        """The job's call starts: it has a slot, or, `beside` another one, takes one."""
        work = job.work
        if beside:
            self._dispatcher.beside(job)
        tokens = estimated(work)
        begun: Begun | None = None
        if self._concurrency is not None:
            should = self._concurrency.expected(work.model, work.expected_output_tokens)
            begun = self._concurrency.began(self._dispatcher.in_flight, now, should)
        job.taken = Taken(self.quotas.take(work.model, job.lane, tokens, now), begun)
        self._of_model[work.model] += 1
        if begun is not None:
            self._under_way[job.taken] = now + max(STUCK_S, _STUCK * (begun.should or 0.0))
        kept = _KEPT if self._tokens else 0.0
        self._weight = self._weight * kept + work.weight * (1 - kept)
        self._tokens = self._tokens * kept + tokens * (1 - kept)

    def sent(self, job: Job, now: float) -> None:
        """Its call goes out: until now the journal was waited for, not the provider."""
        if self._concurrency is not None and job.taken is not None and job.taken.begun is not None:
            self._concurrency.sent(job.taken.begun, now)

    def heard(self, job: Job, result: CallResult, now: float) -> None:
        """Its call has ended in this way."""
        taken, job.taken = job.taken, None
        if taken is None:
            return
        self._over(taken)
        model = job.work.model
        self._settle(taken, result, now)
        if result.limits is not None:
            requests, tokens = _left(result.limits)
            self.quotas.seen(model, requests, tokens, now)
        crowded = result.status == _TOO_MANY and result.code == CONCURRENCY_LIMIT
        if result.status == _TOO_MANY and not crowded:
            pause = min(result.retry_after_s or 0.0, LONGEST_PAUSE_S)
            self.quotas.refuse_until(now + pause, now, model)
        elif result.status in _OVERLOADED and result.retry_after_s:
            pause = min(result.retry_after_s, LONGEST_PAUSE_S)
            self.quotas.refuse_until(now + pause, now)
        if self._concurrency is None or taken.begun is None:
            return
        if result.answer is not None:
            output = result.usage.output_tokens
            length = job.work.expected_output_tokens if output is None else output
            # This process may have been late before it sent and before it read: that time is not
            # the provider's.
            late_s = 2 * max(self._lag_s, now - self._look_due)
            self._concurrency.answered(
                taken.begun, model, length, result.seconds, now, late_s=late_s
            )
        elif crowded or result.status in _OVERLOADED:
            self._concurrency.refused(taken.begun, now, counted=crowded)
        else:
            self._concurrency.lost(taken.begun)
        self._resize()

    def left(self, job: Job) -> None:
        """One of two calls of a job gives its slot back."""
        self._dispatcher.ended(job)

    def ended(self, job: Job, now: float, *, called: bool) -> None:
        """The job gives its slot back; with `called`, after a call of which nothing was heard."""
        taken, job.taken = job.taken, None
        if taken is None:
            return
        self._over(taken)
        if self._concurrency is not None and taken.begun is not None:
            self._concurrency.lost(taken.begun)
        if not called:
            self.quotas.give_back(taken.reservation, now)

    def assigned(self, partitions: int, of: int, now: float) -> None:
        """So many of the work topic's partitions are ours from now on."""
        self.share.base = partitions / of
        self.tick((), now)

    def tick(self, states: Iterable[ProviderState], now: float) -> None:
        """Share the limits anew with the other workers of the pool, by what they say.

        Called several times a second, also for the calls that are stuck meanwhile.
        """
        claims = [
            Claim(state.at, state.quota_base, state.quota_claimed)
            for state in states
            if state.worker != self._worker
        ]
        used = self.quotas.used_share(now, _USED_OVER_S)
        self.quotas.change_share(self.share.part(now, used=used, others=claims), now)
        self._stuck = {taken for taken, at in self._under_way.items() if at <= now}
        self._resize()

    def looked(self, now: float, due: float) -> None:
        """The event loop looks at us at `now`, and means to do so again at `due`."""
        self._lag_s = max(0.0, now - self._look_due, _LAG_KEPT * self._lag_s)
        self._look_due = due
        if self._concurrency is not None:
            self._concurrency.looked(now, due)
            self._resize()

    def behind(self, now: float) -> Callable[[str, int, float], float]:
        """In how many seconds one may start, by model, requests and tokens before it; for many."""
        rates = self.quotas.rates()

        def wait(model: str, requests: int, tokens: float) -> float:
            waits = self.quotas.refused_for(model, now)
            if rates.requests:
                waits = max(waits, requests / rates.requests)
            if rates.tokens:
                waits = max(waits, tokens / rates.tokens)
            return waits

        return wait

    def speed(self) -> float | None:
        """Token units a second that the quotas allow, of prompts as of late; None: any."""
        rates = self.quotas.rates()
        found = []
        if rates.requests is not None:
            found.append(rates.requests * self._weight)
        if rates.tokens is not None and self._tokens:
            found.append(rates.tokens * self._weight / self._tokens)
        return min((speed for speed in found if speed), default=None)

    def _settle(self, taken: Taken, result: CallResult, now: float) -> None:
        reserved = taken.reservation.tokens
        usage = result.usage
        if usage.input_tokens is not None or usage.output_tokens is not None:
            used = float((usage.input_tokens or 0) + (usage.output_tokens or 0))
        elif result.status is not None and result.status >= _ERRORS:
            used = 0.0  # it was turned away
        else:
            used = reserved
        if self._keeps_reserved and result.answer is not None:
            used = max(used, reserved)
        self.quotas.settle(taken.reservation, used, now)

    def _is_full(self, model: str) -> bool:
        most = self._most_of.get(model)
        return most is not None and self._of_model[model] >= most

    def _over(self, taken: Taken) -> None:
        self._of_model[taken.reservation.model] -= 1
        self._under_way.pop(taken, None)
        self._stuck.discard(taken)

    def _resize(self) -> None:
        """Calls that are stuck do not count: others must not wait until they are given up."""
        limit = self._concurrency
        if limit is None:
            return
        slots = min(limit.limit + len(self._stuck), self.most_slots)
        if slots != self._dispatcher.slots:
            self._dispatcher.resize(slots)


def estimated(work: Work) -> float:
    """The tokens that a call is taken to use before it is made."""
    return work.input_tokens + work.expected_output_tokens


def _left(seen: LimitsSeen) -> tuple[Left, Left]:
    return Left(seen.requests_limit, seen.requests_left), Left(seen.tokens_limit, seen.tokens_left)
