"""Jobs that may not be called here now: who takes them instead, if anyone."""

import random
from collections.abc import Iterable, Iterator
from typing import Final

from broker.core.retries import backoff
from broker.core.routing import Decision
from workers.attempt import Attempts
from workers.ends import Move, Rest, is_able
from workers.job import Job

RELOCATE_EVERY_S: Final = 0.25
"""While the breaker lets nothing out, what waits is offered to other providers this often."""


class Leaving:
    """Chooses for jobs without a slot. Used on the event loop."""

    def __init__(self, attempts: Attempts) -> None:
        self._attempts = attempts
        self._offered_at = 0.0

    def without_retry(self, job: Job, now: float) -> Move | Rest:
        """The budget has no retry for this job: it moves, or pauses again."""
        because = f"{job.last_failure}, and the budget of retries is used up"
        move = self._move(job, because, now)
        if move is not None:
            return move
        jitter = random.random()  # noqa: S311 - it spreads retries, it guards nothing
        return Rest(now + backoff(job.calls_here + 1, self._attempts.rules, jitter))

    def while_off(self, jobs: Iterable[Job], now: float) -> Iterator[tuple[Job, Move]]:
        """Those of the waiting jobs that can be done elsewhere while the breaker lets none out.

        They are chosen one at a time, as each choice changes what the next one finds.
        """
        if now - self._offered_at < RELOCATE_EVERY_S:
            return
        self._offered_at = now
        again = self._attempts.breaker.opens_again_at(now)
        because = "is being tried again" if again is None else f"is off for {again - now:.1f} s"
        for job in jobs:
            move = self._move(job, because, now)
            if move is not None:
                yield job, move

    def _move(self, job: Job, because: str, now: float) -> Move | None:
        chosen = self._attempts.mover.choose(job, because, now)
        return Move(chosen) if isinstance(chosen, Decision) and is_able(chosen) else None
