"""One attempt at a job: journal, call, and what its outcome leads to. It carries nothing out."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Protocol

from broker.core.breaker import Breaker
from broker.core.retries import Action, Failure, RetryRules, Step, named, next_step
from broker.core.routing import Decision, NoDecision
from broker.records import completion as completions
from broker.records.calls import CallEvent, Outcome
from broker.records.completion import encode_completion
from broker.records.errors import UsageError, WeighbridgeError
from broker.telemetry.logs import get_logger
from workers.calling import CallResult, Prepared, ProviderClient
from workers.claim_check import ClaimCheck
from workers.credentials import CredentialError
from workers.endings import Endings
from workers.ends import End, Finish, Move, Rest, is_able
from workers.job import Job
from workers.moving import Mover
from workers.providers.dialect import Answer, CannotExpressError
from workers.tallies import Tallies
from workers.ticket import Ticket

JOURNAL_PAUSE_S = 1.0
"""How long a job rests when the journal did not take the start of its call."""

_NOT_SERVED = UsageError(
    "The model is not in its settings.",
    mend="Give all processes the same ones.",
    code="model_not_served",
)
"""The classifier's settings know a model here that this worker's do not."""


class Journal(Protocol):
    """What of the call journal is needed here."""

    def started(self, event: CallEvent) -> Awaitable[None]:
        """Written and acknowledged; raises WeighbridgeError when it could not be."""

    def ended(self, event: CallEvent) -> None:
        """To be written; nobody waits for it."""


@dataclass(frozen=True, slots=True)
class Attempts:
    """Everything an attempt needs. `claim_check` opens the store when an answer is too large.

    `breaker` is asked by whoever starts attempts; here only its tickets are spoken to.
    """

    provider: str
    client: ProviderClient
    journal: Journal
    wait_for_journal: bool
    breaker: Breaker
    rules: RetryRules
    mover: Mover
    endings: Endings
    tallies: Tallies
    claim_check: Callable[[], ClaimCheck]
    max_record_bytes: int

    async def run(self, job: Job, ticket: Ticket) -> End:
        """Call the provider once; what it says of the provider's health is said to `ticket`."""
        if self.client.provider_model(job.work.model) is None:
            return self._elsewhere(job, "does not serve the model", _NOT_SERVED)
        try:
            prepared = await self.client.prepare(job.work)
        except CannotExpressError as error:
            return self._elsewhere(job, "cannot be asked this", error)
        except CredentialError as error:
            ticket.failed(time.time())
            return self._elsewhere(job, "has no valid credential", error)
        attempt, began = job.calls + 1, time.time()
        try:
            if not await self._journaled(job, attempt, began):
                return Rest(began + JOURNAL_PAUSE_S)
            self._called(job, began)
            result = await self._call(job, prepared)
        except BaseException as error:
            # Cancelled: the partition is another's now, or the process ends.
            code = "given_up" if isinstance(error, asyncio.CancelledError) else "internal"
            job.calls = attempt  # also when it was cancelled while its start was written
            self._note(job, "stop", CallResult(time.time() - began), code)
            raise
        job.provider_s += result.seconds
        if result.answer is None:
            return self._failed(job, result, ticket)
        ticket.succeeded(time.time())
        self.tallies.speed.measured(job.lane, job.work.weight, result.seconds)
        if result.first_token_s is not None:
            self.tallies.first_token(job.lane, result.first_token_s)
        return await self._answered(job, result, result.answer)

    def _called(self, job: Job, began: float) -> None:
        job.calls += 1
        job.calls_here += 1
        if job.first_call_at is None:
            job.first_call_at = began
            self.tallies.queued(job.lane, began - job.work.accepted_at)

    async def _call(self, job: Job, prepared: Prepared) -> CallResult:
        deadline = job.work.deadline
        if deadline is not None and deadline <= time.time():
            # It passed while the journal was written: nothing is sent any more.
            return CallResult(0.0, expired=True)
        return await self.client.call(prepared, job.calls)

    def _elsewhere(self, job: Job, because: str, why: WeighbridgeError) -> Move | Finish:
        """Nothing was called here: another provider takes it, or it fails with what is wrong."""
        chosen = self.mover.choose(job, because, time.time())
        if isinstance(chosen, Decision):
            return Move(chosen)
        return self.failed(
            job,
            why.code,
            f"{self.provider} {because}: {why.message} No other provider can take it: "
            f"{chosen.sentence}.",
        )

    def failed(self, job: Job, code: str, message: str) -> Finish:
        """An end for a job that this worker itself failed at."""
        return self._finish(job, "failed", completions.Failure("internal", code, message))

    def expired(self, job: Job) -> Finish:
        """An end for a job whose deadline has come."""
        called = "before it was answered" if job.calls else "before it could be sent to a provider"
        error = completions.Failure(
            "expired", "deadline_passed", f"The deadline of the prompt passed {called}."
        )
        return self._finish(job, "expired", error)

    def _finish(self, job: Job, status: completions.Status, error: completions.Failure) -> Finish:
        completion = self.endings.completion(job, status, time.time(), error=error)
        return Finish(completion, encode_completion(completion))

    async def _answered(self, job: Job, result: CallResult, answer: Answer) -> Finish:
        error = None
        if answer.refusal is not None:
            error = completions.Failure(
                "refused", answer.refusal, "The provider refused to answer.", result.status
            )
        self._note(job, "ok" if error is None else "stop", result, answer.refusal)
        completion = self.endings.completion(
            job,
            "succeeded" if error is None else "refused",
            time.time(),
            answer=answer,
            error=error,
        )
        value = encode_completion(completion)
        if len(value) > self.max_record_bytes:
            try:
                completion = await self.claim_check().check_in(completion)
            except WeighbridgeError as problem:
                get_logger().warning("store_failed", id=job.work.id, code=problem.code)
                return self.failed(job, problem.code, problem.message)
            value = encode_completion(completion)
        return Finish(completion, value)

    def _failed(self, job: Job, result: CallResult, ticket: Ticket) -> End:
        if result.expired:
            self._note(job, "stop", result, "deadline_passed")
            return self.expired(job)
        now = time.time()
        failure = Failure(
            status=result.status,
            code=None if result.transport is not None else result.code,
            transport=result.transport,
            retry_after_s=result.retry_after_s,
            should_retry=result.should_retry,
            calls=job.calls,
            calls_here=job.calls_here,
            deadline=job.work.deadline,
        )
        job.last_failure = named(failure)
        chosen = self.mover.choose(job, job.last_failure, now)
        failure = replace(failure, alone=not is_able(chosen))
        jitter = random.random()  # noqa: S311 - it spreads retries, it guards nothing
        step = next_step(failure, self.rules, now=now, jitter=jitter)
        if step.unhealthy:
            ticket.failed(now)
        if step.action is Action.MOVE:
            # Once more, for the route to tell the whole reason.
            chosen = self.mover.choose(job, step.why, now)
        return self._follow(job, result, step, chosen, now)

    def _follow(
        self, job: Job, result: CallResult, step: Step, chosen: Decision | NoDecision, now: float
    ) -> End:
        code = result.code or (None if result.status is None else str(result.status))
        if step.action is Action.RETRY:
            self._note(job, "retry", result, code)
            job.retries = True
            return Rest(now + step.after_s)
        message = result.message
        if step.action is Action.MOVE:
            if isinstance(chosen, Decision):
                self._note(job, "move", result, code)
                return Move(chosen)
            message = f"{message} No other provider can take it: {chosen.sentence}."
        self._note(job, "stop", result, code)
        error = completions.Failure(result.kind, code or "unknown", message, result.status)
        return self._finish(job, "refused" if step.action is Action.REFUSED else "failed", error)

    async def _journaled(self, job: Job, attempt: int, now: float) -> bool:
        work = job.work
        written = self.journal.started(
            CallEvent(work.id, work.tenant, self.provider, work.model, attempt, "started", now)
        )
        if not self.wait_for_journal:
            return True
        try:
            await written
        except WeighbridgeError as error:
            get_logger().warning("journal_failed", id=work.id, code=error.code)
            return False
        return True

    def _note(
        self,
        job: Job,
        outcome: Outcome,
        result: CallResult,
        code: str | None = None,
    ) -> None:
        """Write the end of a call into the journal, the metrics and the job's bill."""
        work, first = job.work, result.first_token_s
        spent = self.endings.spent(work.model, result.ended(work.input_tokens))
        job.cost = job.cost.plus(spent.cost)
        self.tallies.called(job.lane, outcome, code or "", result.seconds)
        self.journal.ended(
            CallEvent(
                work.id,
                work.tenant,
                self.provider,
                work.model,
                job.calls,
                "ended",
                time.time(),
                outcome=outcome,
                http_status=result.status,
                code=code,
                ms=round(result.seconds * 1000),
                first_token_ms=None if first is None else round(first * 1000),
                input_tokens=spent.usage.input_tokens,
                output_tokens=spent.usage.output_tokens,
                cost_usd=spent.cost.usd,
                cost_estimated=spent.cost.estimated,
            )
        )
