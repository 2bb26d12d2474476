"""What ends in a worker without a call of its own: deadlines, cancels, records that are no work."""

import time
from collections import deque
from collections.abc import Collection, Iterator, Sequence

from broker.core.cancels import Cancels
from broker.log.units import Unit
from workers.attempt import Attempts
from workers.backlog import Backlog
from workers.dispatch import Dispatcher
from workers.ends import Finish
from workers.job import Arrival, Job, JobState, UnreadableWork
from workers.settling import Settling


class Unstarted:
    """Takes in what was read, and ends what is not to be started. Used on the event loop.

    Jobs wait in the dispatcher also when they are cancelled, until there is room for their end.
    """

    def __init__(
        self,
        attempts: Attempts,
        dispatcher: Dispatcher,
        backlog: Backlog,
        settling: Settling,
        cancels: Cancels,
    ) -> None:
        self._attempts = attempts
        self._dispatcher = dispatcher
        self._backlog = backlog
        self._settling = settling
        self._cancels = cancels
        self._bad: deque[UnreadableWork] = deque()
        self._cancelled: deque[Job] = deque()

    def arrived(self, batch: Sequence[Arrival]) -> None:
        """Take in what was read."""
        now = time.time()
        for item in batch:
            if isinstance(item, UnreadableWork):
                self._bad.append(item)
                continue
            self._dispatcher.add(item, now)
            if item.work.moves:
                self._attempts.tallies.expected.moves.came(item)
            if self.is_cancelled(item):
                self._cancelled.append(item)

    def is_cancelled(self, job: Job) -> bool:
        """Whether somebody asked that nothing more be done for it."""
        return self._cancels.covers(job.work.id, job.work.accepted_at)

    def cancelled(self, ids: Collection[str]) -> None:
        """These ids were cancelled: what waits or rests under them ends.

        There is no index: all that waits is looked through, once for a batch of cancels.
        """
        self._cancelled += [
            job for job in self._dispatcher.held() if job.work.id in ids and self.is_cancelled(job)
        ]

    def dropped(self, partitions: frozenset[int]) -> None:
        """These partitions are another worker's now: it does what is not committed."""
        gone: list[Arrival] = []
        gone += self._dispatcher.drop(lambda job: job.place.partition in partitions)
        gone += (record for record in self._bad if record.place.partition in partitions)
        self._bad = deque(r for r in self._bad if r.place.partition not in partitions)
        for each in gone:
            self._backlog.started(each)
            self._backlog.ended(each)

    def ends(self, now: float, room: int) -> Iterator[Unit]:
        """The units of what ends without a call, no more than there is room for."""
        for job in self._dispatcher.take_expired(now, room):
            yield self._ended(job, self._attempts.expired(job), now)
            room -= 1
        while self._cancelled and room > 0:
            job = self._cancelled.popleft()
            if self._dispatcher.remove(job):
                yield self._ended(job, self._attempts.cancelled(job), now)
                room -= 1
        while self._bad and room > 0:
            record = self._bad.popleft()
            self._backlog.started(record)
            self._backlog.ended(record)
            yield self._settling.unreadable(record)
            room -= 1

    def _ended(self, job: Job, end: Finish, now: float) -> Unit:
        job.state = JobState.SETTLED
        self._backlog.started(job)
        self._backlog.ended(job)
        return self._settling.ended(job, end, now)
