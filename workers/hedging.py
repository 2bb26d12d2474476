"""A second call beside one that does not begin to answer; the first whole answer wins.

Off by default (`worker.hedge_after_ms`), and only for light prompts that somebody waits for. The
second call is one like any other: it has an attempt of its own in the journal, a slot, its part of
the quotas, and the retry budget's leave. The loser is cancelled and costed. A stream is never
hedged: its pieces may be out already.
"""

import asyncio
import time
from dataclasses import dataclass

from broker.core.retries import Action, RetryTable, verdict
from broker.core.retry_budget import RetryBudget
from broker.records.usage import Usage
from workers.calling import CallResult, Prepared, ProviderClient
from workers.job import Job
from workers.noting import Notes
from workers.quota_keeping import Allowance
from workers.taken import Taken

LOST = "hedge_lost"
"""The journal's code of a call that another one was quicker than."""


@dataclass(slots=True)
class _Call:
    """One of the two, and what it took of the limits."""

    attempt: int
    began: float
    task: "asyncio.Task[CallResult]"
    taken: Taken | None = None


@dataclass(frozen=True, slots=True)
class Hedging:
    """Makes the second call. Used on the event loop."""

    after_s: float | None
    client: ProviderClient
    notes: Notes
    allowance: Allowance
    budget: RetryBudget
    table: RetryTable

    def wanted(self, job: Job, prepared: Prepared) -> bool:
        """Whether this call may get a second one."""
        return (
            self.after_s is not None
            and job.lane == "light"
            and job.work.priority == "interactive"
            and not prepared.request.streamed
        )

    async def call(self, job: Job, prepared: Prepared) -> CallResult:
        """Ask once, and once more when there is no answer in time; `job.heard` is the attempt.

        Two calls that both fail are the failure of the first; a refusal is final, whichever met it.
        """
        calls = [self._start(job, prepared)]
        try:
            first = calls[0].task
            await asyncio.wait({first}, timeout=self.after_s)
            if not first.done():
                await self._second(job, prepared, calls)
            return await self._first_answer(job, calls)
        except BaseException:
            # Given up: who called notes the last call, and frees what the job holds: the first's.
            for each in calls[:-1]:
                given_up = CallResult(time.time() - each.began)
                self.notes.ended(job, "stop", given_up, job.why_cut, attempt=each.attempt)
            for each in calls[1:]:
                self._free(job, each.taken, None, called=True)
            raise
        finally:
            for each in calls:
                each.task.cancel()
            await asyncio.gather(*(each.task for each in calls), return_exceptions=True)

    async def _first_answer(self, job: Job, calls: list[_Call]) -> CallResult:
        left = {each.task: each for each in calls}
        while True:
            done, _ = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
            ended = [left.pop(task) for task in done]
            winner = next((one for one in ended if self._is_final(one.task.result())), None)
            if winner is not None or not left:
                heard = winner or calls[0]
                self._note_losers(job, [each for each in calls if each is not heard])
                job.heard = heard.attempt
                if len(calls) > 1:
                    job.taken = heard.taken
                return heard.task.result()

    def _is_final(self, result: CallResult) -> bool:
        """Whether no other call's answer may stand instead: an answer, or a refusal."""
        if result.answer is not None:
            return True
        row = verdict(result.status, result.code, result.transport, self.table)
        return row.action in (Action.REFUSED, Action.FAILED)

    async def _second(self, job: Job, prepared: Prepared, calls: list[_Call]) -> None:
        """Make the second call, when limits and budget have room and the journal takes it."""
        now = time.time()
        if not self.allowance.has_room(job, now) or not self.budget.may_retry(now):
            return
        # A job holds the part of one call: the first one's is kept aside.
        kept = job.taken
        self.allowance.take(job, now, beside=True)
        taken, job.taken = job.taken, kept
        written = False
        try:
            written = await self.notes.started(job, job.calls + 1, now)
        finally:
            if not written:
                self._free(job, taken, None)
        if written:
            job.calls += 1
            job.calls_here += 1
            second = self._start(job, prepared)
            second.taken = taken
            calls.append(second)

    def _start(self, job: Job, prepared: Prepared) -> _Call:
        task = asyncio.ensure_future(self.client.call(prepared, job.calls, None))
        return _Call(job.calls, time.time(), task, job.taken)

    def _note_losers(self, job: Job, losers: list[_Call]) -> None:
        now = time.time()
        for one in losers:
            ended = one.task.done()
            # It is paid for as if it had been answered: the provider may well go on.
            whole = Usage(job.work.input_tokens, job.work.expected_output_tokens)
            result = one.task.result() if ended else CallResult(now - one.began, usage=whole)
            code = result.code or str(result.status) if ended and result.answer is None else LOST
            self.notes.ended(job, "stop", result, code, attempt=one.attempt)
            self._free(job, one.taken, result)

    def _free(
        self, job: Job, taken: Taken | None, result: CallResult | None, *, called: bool = False
    ) -> None:
        """Give back what the second call held; a loser's tokens are settled as far as known.

        Without a result: whether it was `called` at all.
        """
        now = time.time()
        kept, job.taken = job.taken, taken
        if result is None:
            self.allowance.ended(job, now, called=called)
        else:
            self.allowance.heard(job, result, now)
        job.taken = kept
        self.allowance.left(job)
