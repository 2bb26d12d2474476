"""Jobs that may not be called here now: who takes them instead, if anyone."""

import random
from collections.abc import Callable, Iterable, Iterator
from math import isfinite
from typing import Final, Protocol

from broker.core.breaker import Breaker
from broker.core.lanes import LANES, Lane
from broker.core.retries import RetryRules, backoff
from broker.core.route_reasons import NoReason, Reason
from broker.core.routing import Decision, NoDecision
from workers.ends import Move, Rest, is_able
from workers.falling_behind import FallingBehind
from workers.job import Job
from workers.moving import Mover
from workers.quota_keeping import Allowance, estimated

RELOCATE_EVERY_S: Final = 0.25
"""While nothing may go out here, what waits is offered to other providers this often."""


_ALONE: Final = frozenset({NoReason.NOBODY_SERVES, NoReason.ALL_TRIED, NoReason.MOVES_SPENT})
"""What hangs on a job's model and on where it was, and on nothing else of it."""


class Here(Protocol):
    """What of a worker's `Attempts` is asked for jobs that may not be called."""

    @property
    def breaker(self) -> Breaker:
        """The provider's."""

    @property
    def rules(self) -> RetryRules:
        """Of retries."""

    @property
    def mover(self) -> Mover:
        """Who chooses among the others."""

    @property
    def allowance(self) -> Allowance:
        """What may be asked of the provider now."""


class Leaving:
    """Chooses for jobs without a slot. Used on the event loop. `chance` is uniform in [0, 1)."""

    def __init__(self, attempts: Here, chance: Callable[[], float] = random.random) -> None:
        self._attempts = attempts
        self._chance = chance
        self._offered_at = 0.0
        self._behind = FallingBehind(attempts.mover)

    def without_retry(self, job: Job, now: float) -> Move | Rest:
        """The budget has no retry for this job: it moves, or pauses again."""
        because = f"{job.last_failure}, and the budget of retries is used up"
        move = self._move(job, because, now)
        if move is not None:
            return move
        pause = backoff(job.calls_here + 1, self._attempts.rules, self._chance())
        return Rest(now + pause)

    def while_off(
        self, held: Callable[[], Iterable[Job]], now: float
    ) -> Iterator[tuple[Job, Move]]:
        """Those of the waiting jobs that can be done elsewhere while the breaker lets none out.

        The heaviest go first. They are chosen one at a time, as each choice changes what the next
        one finds.
        """
        if not self._is_time(now):
            return
        again = self._attempts.breaker.opens_again_at(now)
        because = "is being tried again" if again is None else f"is off for {again - now:.1f} s"
        alone: set[tuple[str, tuple[str, ...]]] = set()
        for job in sorted(held(), key=_lightness):
            # A long queue that nobody else could serve must not be asked for one by one.
            kind = (job.work.model, tuple([step.provider for step in job.work.route]))
            if kind in alone:
                continue
            chosen = self._attempts.mover.choose(job, because, now, Reason.BREAKER)
            if isinstance(chosen, NoDecision):
                # Whom a rule bars hangs on the tenant and on the prompt itself.
                if chosen.reason in _ALONE and chosen.request and not chosen.request.barred:
                    alone.add(kind)
            elif is_able(chosen):
                yield job, Move(chosen)

    def while_held_up(
        self, waiting_in: Callable[[Lane], Iterable[Job]], now: float
    ) -> Iterator[tuple[Job, Move]]:
        """Those that no slot or quota is free for, and that need not wait for one here."""
        yield from self.while_limited(waiting_in, now)
        yield from self._behind.moves(waiting_in, now)

    def while_limited(
        self, waiting_in: Callable[[Lane], Iterable[Job]], now: float
    ) -> Iterator[tuple[Job, Move]]:
        """Those that would wait for quota longer than their lane may, and need not elsewhere.

        Light prompts are taken to come first, then each lane after the one before it.
        """
        allowance, mover = self._attempts.allowance, self._attempts.mover
        if not isfinite(allowance.soonest_s) or not self._is_time(now):
            return  # it is slots that they wait for
        requests, tokens = 0, 0.0
        wait_behind = allowance.behind(now)
        for lane in LANES:
            nobody: set[tuple[str, str | None]] = set()
            for job in list(waiting_in(lane)):
                work = job.work
                wait = wait_behind(work.model, requests, tokens)
                requests += 1
                tokens += estimated(work)
                if wait <= mover.wait_limit(lane) or (work.model, work.provider) in nobody:
                    continue
                because = f"has no quota for {wait:.1f} s"
                move = self._move(job, because, now, Reason.LIMITED)
                if move is None or move.to.reason is Reason.LEAST_WAIT:
                    nobody.add((work.model, work.provider))
                    continue
                requests, tokens = requests - 1, tokens - estimated(work)
                yield job, move

    def _is_time(self, now: float) -> bool:
        if now - self._offered_at < RELOCATE_EVERY_S:
            return False
        self._offered_at = now
        return True

    def _move(
        self, job: Job, because: str, now: float, cause: Reason = Reason.FAILED
    ) -> Move | None:
        chosen = self._attempts.mover.choose(job, because, now, cause)
        return Move(chosen) if isinstance(chosen, Decision) and is_able(chosen) else None


def _lightness(job: Job) -> int:
    return -job.work.weight
