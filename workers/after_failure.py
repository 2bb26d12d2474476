"""What follows a call that was not answered. Pure but for what it says of the provider's health.

Whoever made the call carries it out: a worker, and `broker.simulate` in virtual time.
"""

from dataclasses import dataclass, replace

from broker.core.retries import Action, Failure, RetryRules, Step, named, next_step
from broker.core.routing import Decision, NoDecision
from workers.calling import CallResult
from workers.ends import Move, Rest, is_able
from workers.job import Job
from workers.moving import Mover
from workers.ticket import Ticket


@dataclass(frozen=True, slots=True)
class AfterFailure:
    """`end` is what is done with the job; None: it ends here.

    Then `refused` says whether the provider will not answer it, and `nobody` why no other one
    takes it, where that is what ended it. `newly_spent`: quota or credit is used up since now.
    """

    end: Rest | Move | None
    refused: bool = False
    nobody: NoDecision | None = None
    newly_spent: bool = False


def after_failure(
    job: Job,
    result: CallResult,
    ticket: Ticket,
    *,
    rules: RetryRules,
    mover: Mover,
    now: float,
    jitter: float,
) -> AfterFailure:
    """Decide it; `jitter` is uniform in [0, 1). The job remembers what failed, and a retry."""
    failure = failure_of(job, result)
    job.last_failure = named(failure)
    chosen = mover.choose(job, job.last_failure, now)
    failure = replace(failure, alone=not is_able(chosen))
    step = next_step(failure, rules, now=now, jitter=jitter)
    news = step.spent and ticket.spent(now)
    if step.unhealthy:
        ticket.failed(now)
    end, nobody = _end(job, step, mover, now)
    return AfterFailure(end, step.action is Action.REFUSED, nobody, news)


def _end(
    job: Job, step: Step, mover: Mover, now: float
) -> tuple[Rest | Move | None, NoDecision | None]:
    if step.action is Action.RETRY:
        job.retries = True
        return Rest(now + step.after_s), None
    if step.action is not Action.MOVE:
        return None, None
    # Once more, for the route to tell the whole reason.
    chosen = mover.choose(job, step.why, now)
    return (Move(chosen), None) if isinstance(chosen, Decision) else (None, chosen)


def failure_of(job: Job, result: CallResult) -> Failure:
    """A call that was not answered, as the retry table is asked about it."""
    return Failure(
        status=result.status,
        code=None if result.transport is not None else result.code,
        transport=result.transport,
        retry_after_s=result.retry_after_s,
        should_retry=result.should_retry,
        calls=job.calls,
        calls_here=job.calls_here,
        deadline=job.work.deadline,
    )
