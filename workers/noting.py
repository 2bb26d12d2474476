"""What is written of every call: journal, metrics, the job's bill, and the pieces of a stream."""

import time
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from broker.core.weighing import answers_asked, own_maximum
from broker.records.calls import CallEvent, Outcome
from broker.records.errors import WeighbridgeError
from broker.telemetry.logs import get_logger
from workers.calling import CallResult, Prepared
from workers.endings import Endings
from workers.job import Job
from workers.reply_reading import OnPieces
from workers.streaming import Streams
from workers.tallies import Tallies

_LONGEST_NOTE: Final = 200


class Journal(Protocol):
    """What of the call journal is needed here."""

    def started(self, event: CallEvent) -> Awaitable[None]:
        """Written and acknowledged; raises WeighbridgeError when it could not be."""

    def ended(self, event: CallEvent) -> None:
        """To be written; nobody waits for it."""


@dataclass(frozen=True, slots=True)
class Notes:
    """Writes down the calls of one provider's worker. Used on the event loop."""

    provider: str
    journal: Journal
    wait_for_journal: bool
    streams: Streams
    endings: Endings
    tallies: Tallies

    async def started(self, job: Job, attempt: int, now: float) -> bool:
        """Journal a call that is about to be made; False when the journal did not take it."""
        work = job.work
        written = self.journal.started(
            CallEvent(
                work.id,
                work.tenant,
                self.provider,
                work.model,
                attempt,
                "started",
                now,
                kind=work.kind,
                lane=job.lane,
                weight=work.weight,
                queued_ms=max(0, round((now - work.accepted_at) * 1000)),
            )
        )
        if not self.wait_for_journal:
            return True
        try:
            await written
        except WeighbridgeError as error:
            get_logger().warning("journal_failed", id=work.id, code=error.code)
            return False
        return True

    def listener(self, job: Job, prepared: Prepared, began: float) -> OnPieces | None:
        """Who is told the pieces of a call that goes out now; None where it brings none."""
        if not prepared.request.streamed:
            return None
        job.stream = self.streams.begin(job.work, job.calls, began)
        return job.stream.take

    def ended(
        self,
        job: Job,
        outcome: Outcome,
        result: CallResult,
        code: str | None,
        *,
        attempt: int | None = None,
    ) -> None:
        """A call has ended, and this follows; the job's last one, or the one with this attempt."""
        number = attempt or job.heard or job.calls
        if attempt is None:
            job.heard = None
        work, first, each = job.work, result.first_token_s, result.per_token_s
        answer = result.answer
        spent = self.endings.spent(work.model, result.ended(work.input_tokens))
        job.cost = job.cost.plus(spent.cost)
        self.tallies.called(job.lane, outcome, code or "", result.seconds)
        if each is not None:
            self.tallies.per_token(job.lane, each)
        self.journal.ended(
            CallEvent(
                work.id,
                work.tenant,
                self.provider,
                work.model,
                number,
                "ended",
                time.time(),
                outcome=outcome,
                http_status=result.status,
                code=code,
                ms=round(result.seconds * 1000),
                first_token_ms=None if first is None else round(first * 1000),
                per_token_ms=None if each is None else round(each * 1000, 3),
                input_tokens=spent.usage.input_tokens,
                output_tokens=spent.usage.output_tokens,
                cost_usd=spent.cost.usd,
                cost_estimated=spent.cost.estimated,
                kind=work.kind,
                lane=job.lane,
                weight=work.weight,
                expected_output_tokens=work.expected_output_tokens,
                own_maximum=own_maximum(work.fields),
                weighed_input_tokens=work.input_tokens,
                answers=None if (asked := answers_asked(work.fields)) == 1 else asked,
                cut=None if answer is None else answer.finish_reason == "length",
                notes=_short(result.notes),
            )
        )
        if job.stream is not None:
            job.stream.end(
                outcome,
                answered=answer is not None,
                finish_reason=None if answer is None else answer.finish_reason,
                usage=spent.usage,
                code=code,
            )
            job.stream = None


def _short(notes: Mapping[str, str]) -> Mapping[str, str] | None:
    """They are words of the provider's, of which the journal holds no more than it must."""
    return {name: told[:_LONGEST_NOTE] for name, told in notes.items()} or None
