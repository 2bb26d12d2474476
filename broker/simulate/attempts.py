"""What a call's end leads to, by the rules of a worker: answered, again, elsewhere, or failed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from broker.core.breaker import Breaker
from broker.core.call_costs import spent_by
from broker.core.output_length import Answered
from broker.core.prices import UNKNOWN
from broker.core.retries import RetryRules
from broker.core.routing import Decision
from broker.core.weighing import answers_asked
from broker.records.completion import Status
from broker.settings import Settings
from broker.settings.prices import prices_of
from broker.simulate.asked import Asked
from broker.simulate.clouds import Call
from broker.simulate.quiet_tallies import QuietTallies
from workers.after_failure import after_failure
from workers.calling import CallResult
from workers.ends import Move, Rest
from workers.job import Job
from workers.leaving import Here
from workers.moving import Mover
from workers.quota_keeping import Allowance


@dataclass(frozen=True, slots=True)
class Followed:
    """A prompt's end: its completion's status, and the code where it did not succeed."""

    status: Status
    code: str = ""
    output_tokens: int = 0


class Ended(Protocol):
    """Who is told of the ends of a worker's jobs."""

    def finished(self, provider: str, job: Job, end: Followed) -> None:
        """It has its completion."""

    def moved(self, provider: str, job: Job, asked: Asked, to: Decision) -> None:
        """Another provider gets it."""


@dataclass(frozen=True, slots=True)
class _Parts:
    """What of a worker's `Attempts` is asked for work that may not be called."""

    breaker: Breaker
    mover: Mover
    allowance: Allowance
    rules: RetryRules


class Attempted:
    """Judges the calls of one provider's worker."""

    def __init__(
        self,
        provider: str,
        settings: Settings,
        *,
        breaker: Breaker,
        mover: Mover,
        allowance: Allowance,
        rules: RetryRules,
        chance: Callable[[], float],
        learn: Callable[[Answered], None] | None,
    ) -> None:
        self._learn = learn
        self._prices = prices_of(settings, provider)
        self._parts = _Parts(breaker, mover, allowance, rules)
        self._chance = chance
        self.tallies = QuietTallies()

    @property
    def here(self) -> Here:
        """For `Leaving`."""
        return self._parts

    def follows(self, call: Call, now: float) -> Rest | Move | Followed:
        """What follows a call that has ended; what it says of the provider is noted."""
        job, result, work = call.job, call.result, call.job.work
        self._parts.allowance.heard(job, result, now)
        job.provider_s += result.seconds
        prices = self._prices.get(work.model, UNKNOWN)
        job.cost = job.cost.plus(spent_by(result.ended(work.input_tokens), prices).cost)
        answer = result.answer
        if answer is None:
            return self._failed(call, now)
        call.ticket.succeeded(now)
        tokens = result.usage.output_tokens
        if self._learn is not None and work.kind == "chat" and tokens is not None:
            own, recorded = call.asked.own_maximum, call.asked.output_tokens
            self._learn(
                Answered(
                    work.tenant,
                    work.model,
                    work.kind,
                    work.input_tokens,
                    tokens,
                    now,
                    own_maximum=own,
                    cut=own is not None and recorded is not None and recorded > own,
                    answers=answers_asked(work.fields),
                )
            )
        self.tallies.recent.answered(result.first_token_s, tokens, now)
        self.tallies.speed.measured(job.lane, work.weight, result.seconds)
        self.tallies.expected.answered(job, result.seconds, tokens, now)
        if answer.refusal is not None:
            return Followed("refused", answer.refusal)
        return Followed("succeeded", output_tokens=tokens or 0)

    def _failed(self, call: Call, now: float) -> Rest | Move | Followed:
        job, result = call.job, call.result
        if result.expired:
            return Followed("expired", "deadline_passed")
        parts = self._parts
        after = after_failure(
            job,
            result,
            call.ticket,
            rules=parts.rules,
            mover=parts.mover,
            now=now,
            jitter=self._chance(),
        )
        if after.end is not None:
            return after.end
        return Followed("refused" if after.refused else "failed", _code(result))


def _code(result: CallResult) -> str:
    """The code of the completion's error."""
    if result.transport is not None:
        return result.transport.value
    return result.code or str(result.status or "unknown")
