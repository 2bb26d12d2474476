"""Ends as units of the transactional writer, counted and logged on their way."""

import time
from collections.abc import Mapping
from typing import Final

from broker.log.units import Unit
from broker.telemetry.logs import get_logger
from workers.attempt import Attempts
from workers.ends import Finish, Move
from workers.job import Job, UnreadableWork

_INTERNAL: Final[Mapping[str, str]] = {
    "code": "internal",
    "message": "The worker failed in the middle of it.",
}


class Settling:
    """Makes the unit of whatever end a record has: every record gets one. On the event loop."""

    def __init__(self, attempts: Attempts) -> None:
        self._attempts = attempts
        self._log = get_logger(provider=attempts.provider)

    def ended(self, job: Job, end: Move | Finish, now: float) -> Unit:
        """The unit of a job's end; when it cannot be made, that of a failed completion."""
        try:
            return self._unit(job, end, now)
        except Exception as error:  # noqa: BLE001 - whatever it is, the prompt must get its end
            return self.broke(job, error, now)

    def broke(self, job: Job, error: BaseException, now: float) -> Unit:
        """The unit of a job that a fault of our own ended. The fault's text may quote a prompt."""
        self._log.error("job_failed", id=job.work.id, error=type(error).__name__)
        return self._unit(job, self._attempts.failed(job, **_INTERNAL), now)

    def unreadable(self, record: UnreadableWork) -> Unit:
        """The unit of a record that is no work at all."""
        place = record.place
        self._log.error(
            "bad_work_record",
            topic=place.topic,
            partition=place.partition,
            offset=place.offset,
            code=record.code,
        )
        self._attempts.tallies.unreadable()
        return self._attempts.endings.unreadable(record, time.time())

    def _unit(self, job: Job, end: Move | Finish, now: float) -> Unit:
        attempts = self._attempts
        if isinstance(end, Finish):
            completion = end.completion
            if completion.status not in ("cancelled", "expired"):
                job.answered_at = completion.completed_at
            unit = attempts.endings.completed(job, completion, end.value)
            attempts.tallies.completed(
                job.lane, completion.status, completion.input_tokens, completion.output_tokens
            )
            if completion.error is not None and completion.error.not_routed is not None:
                attempts.tallies.not_moved(completion.error.not_routed.code)
            return unit
        to = end.to
        unit = attempts.endings.moved(job, to, now)
        attempts.mover.moved(job, to.provider, now)
        attempts.tallies.expected.moves.left(job, to, now)
        attempts.tallies.moved(to.provider, to.reason)
        return unit
