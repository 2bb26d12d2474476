"""One attempt at a job: journal, call, and what its outcome leads to. It carries nothing out."""

import asyncio
import random
import time
from dataclasses import dataclass, replace

from broker.core.breaker import Breaker
from broker.core.retries import RetryRules
from broker.core.routing import Decision
from broker.records import completion as completions
from broker.records.completion import encode_completion
from broker.records.errors import UsageError, WeighbridgeError
from broker.store.reading import DataRefError
from broker.telemetry.logs import get_logger
from workers.after_failure import after_failure
from workers.calling import CallResult, Prepared, ProviderClient
from workers.claim_check import ClaimCheck
from workers.credentials import CredentialError
from workers.endings import Endings
from workers.ends import End, Finish, Move, Rest
from workers.hedging import Hedging
from workers.inputs import Inputs
from workers.job import Job
from workers.moving import Mover
from workers.noting import Notes
from workers.providers.dialect import Answer, CannotExpressError
from workers.quota_keeping import Allowance
from workers.reply_reading import CutOffError
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


@dataclass(frozen=True, slots=True)
class Attempts:
    """Everything an attempt needs.

    `breaker` is asked by whoever starts attempts; here only its tickets are spoken to.
    """

    provider: str
    client: ProviderClient
    notes: Notes
    breaker: Breaker
    rules: RetryRules
    mover: Mover
    endings: Endings
    tallies: Tallies
    claim_check: ClaimCheck
    inputs: Inputs
    allowance: Allowance
    hedging: Hedging

    async def run(self, job: Job, ticket: Ticket) -> End:
        """Call the provider once; what it says of the provider's health is said to `ticket`."""
        try:
            return await self._run(job, ticket)
        finally:
            self.inputs.done(job)
            self.tallies.expected.over(job)

    async def _run(self, job: Job, ticket: Ticket) -> End:
        prepared = await self._prepared(job, ticket)
        if not isinstance(prepared, Prepared):
            return prepared
        attempt, began = job.calls + 1, time.time()
        try:
            if not await self.notes.started(job, attempt, began):
                return Rest(began + JOURNAL_PAUSE_S)
            self._called(job, began)
            result = await self._call(job, prepared, began)
        except BaseException as error:
            # Cancelled: by who asked, or the partition is another's now, or the process ends.
            code = job.why_cut if isinstance(error, asyncio.CancelledError) else "internal"
            job.calls = max(job.calls, attempt)  # also when cancelled before its start was written
            cut = CallResult(time.time() - began)
            if isinstance(error, CutOffError):
                cut = replace(cut, usage=error.usage, received_tokens=error.received_tokens)
            job.provider_s += cut.seconds
            self.notes.ended(job, "stop", cut, code)
            raise
        self.allowance.heard(job, result, time.time())
        job.provider_s += result.seconds
        if result.answer is None:
            return self._failed(job, result, ticket)
        now = time.time()
        ticket.succeeded(now)
        self.tallies.recent.answered(result.first_token_s, result.usage.output_tokens, now)
        self.tallies.speed.measured(job.lane, job.work.weight, result.seconds)
        self.tallies.expected.answered(job, result.seconds, result.usage.output_tokens, now)
        if result.first_token_s is not None:
            self.tallies.first_token(job.lane, result.first_token_s)
        return await self._answered(job, result, result.answer)

    async def _prepared(self, job: Job, ticket: Ticket) -> Prepared | Move | Finish:
        """The call that may be made, or what follows when none may: nothing is sent."""
        if self.client.provider_model(job.work.model) is None:
            return self._elsewhere(job, "does not serve the model", _NOT_SERVED)
        try:
            return await self.client.prepare(await self.inputs.brought(job.work, job))
        except TimeoutError:
            return self.expired(job)
        except CannotExpressError as error:
            return self._elsewhere(job, "cannot be asked this", error)
        except CredentialError as error:
            ticket.failed(time.time())
            return self._elsewhere(job, "has no valid credential", error)
        except WeighbridgeError as error:
            kind = "invalid_request" if isinstance(error, DataRefError) else "internal"
            return self.failed(job, error.code, error.message, kind)

    def _called(self, job: Job, began: float) -> None:
        job.calls += 1
        job.calls_here += 1
        self.tallies.expected.began(job, began)
        if job.first_call_at is None:
            job.first_call_at = began
            self.tallies.queued(job.lane, began - job.work.accepted_at)

    async def _call(self, job: Job, prepared: Prepared, began: float) -> CallResult:
        deadline = job.work.deadline
        if deadline is not None and deadline <= time.time():
            # It passed while the journal was written: nothing is sent any more.
            return CallResult(0.0, expired=True)
        self.allowance.sent(job, time.time())
        if self.hedging.wanted(job, prepared):
            return await self.hedging.call(job, prepared)
        listener = self.notes.listener(job, prepared, began)
        return await self.client.call(prepared, job.calls, listener)

    def _elsewhere(self, job: Job, because: str, why: WeighbridgeError) -> Move | Finish:
        """Nothing was called here: another provider takes it, or it fails with what is wrong."""
        chosen = self.mover.choose(job, because, time.time())
        if isinstance(chosen, Decision):
            return Move(chosen)
        text = (
            f"{self.provider} {because}: {why.message} No other provider can take it: "
            f"{chosen.sentence}."
        )
        error = completions.Failure("internal", why.code, text, not_routed=chosen.not_routed)
        return self._finish(job, "failed", error)

    def failed(self, job: Job, code: str, message: str, kind: str = "internal") -> Finish:
        """An end for a job that this worker itself failed at."""
        return self._finish(job, "failed", completions.Failure(kind, code, message))

    def expired(self, job: Job) -> Finish:
        """An end for a job whose deadline has come."""
        called = "before it was answered" if job.calls else "before it could be sent to a provider"
        error = completions.Failure(
            "expired", "deadline_passed", f"The deadline of the prompt passed {called}."
        )
        return self._finish(job, "expired", error)

    def cancelled(self, job: Job) -> Finish:
        """An end for a job that nobody wants any more."""
        called = "after it was sent to a provider" if job.calls else "before it was sent anywhere"
        error = completions.Failure("cancelled", "cancelled", f"It was cancelled {called}.")
        return self._finish(job, "cancelled", error)

    def _finish(self, job: Job, status: completions.Status, error: completions.Failure) -> Finish:
        completion = self.endings.completion(job, status, time.time(), error=error)
        return Finish(completion, encode_completion(completion))

    async def _answered(self, job: Job, result: CallResult, answer: Answer) -> Finish:
        error = None
        if answer.refusal is not None:
            error = completions.Failure(
                "refused", answer.refusal, "The provider refused to answer.", result.status
            )
        self.notes.ended(job, "ok" if error is None else "stop", result, answer.refusal)
        completion = self.endings.completion(
            job,
            "succeeded" if error is None else "refused",
            time.time(),
            answer=answer,
            error=error,
        )
        try:
            return Finish(*await self.claim_check.kept(completion))
        except WeighbridgeError as problem:
            get_logger().warning("store_failed", id=job.work.id, code=problem.code)
            return self.failed(job, problem.code, problem.message)

    def _failed(self, job: Job, result: CallResult, ticket: Ticket) -> End:
        if result.expired:
            self.notes.ended(job, "stop", result, "deadline_passed")
            return self.expired(job)
        now = time.time()
        jitter = random.random()  # noqa: S311 - it spreads retries, it guards nothing
        after = after_failure(
            job, result, ticket, rules=self.rules, mover=self.mover, now=now, jitter=jitter
        )
        if after.newly_spent:
            self._tell_spent(job)
        code = result.code or (None if result.status is None else str(result.status))
        if after.end is not None:
            self.notes.ended(job, "retry" if isinstance(after.end, Rest) else "move", result, code)
            return after.end
        message, why = result.message, None
        if after.nobody is not None:
            message = f"{message} No other provider can take it: {after.nobody.sentence}."
            why = after.nobody.not_routed
        self.notes.ended(job, "stop", result, code)
        error = completions.Failure(
            result.kind, code or "unknown", message, result.status, not_routed=why
        )
        return self._finish(job, "refused" if after.refused else "failed", error)

    def _tell_spent(self, job: Job) -> None:
        """To the operator, once until it answers again."""
        self.tallies.spent()
        get_logger(provider=self.provider).error(
            "provider_spent",
            why=job.last_failure,
            then="its work moves to other providers; it is tried again every 1 to 10 minutes",
            mend="Raise the quota or pay at the provider, or take it out of the settings.",
        )
