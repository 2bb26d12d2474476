"""What runs next. Pure: it takes `now`, keeps queues, and knows no clock, loop or network.

Work waits in a queue by lane, first come first served among what may start: the oldest of each
model is asked for, so that a model that has to wait keeps no other waiting. `broker.core.slots`
says which lane the next free slot goes to. Work that failed here rests until its next try and holds
no slot meanwhile; then it goes to the front of its lane. The queues are bounded by whoever adds:
`workers.backlog`.
"""

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from heapq import merge
from itertools import count
from typing import Final

from broker.core.lanes import LANES, Lane
from broker.core.slots import SlotRules, SlotSharing
from workers.job import Job, JobState

_SLACK: Final = 256
"""Ended jobs that a queue may still hold before it is swept."""


class Dispatcher:
    """Queues of one worker. Not thread-safe."""

    def __init__(self, rules: SlotRules) -> None:
        self._slots = SlotSharing(rules)
        self._queues: dict[Lane, dict[str, deque[Job]]] = {lane: {} for lane in LANES}
        self._counts: dict[Lane, int] = dict.fromkeys(LANES, 0)
        self._weights: dict[Lane, int] = dict.fromkeys(LANES, 0)
        self._resting: list[tuple[float, int, Job]] = []
        self._resting_count = 0
        self._deadlines: list[tuple[float, int, Job]] = []
        self._order = count()

    @property
    def waiting(self) -> dict[Lane, int]:
        """Jobs that wait for a slot, by lane."""
        return self._counts

    @property
    def waiting_weight(self) -> dict[Lane, int]:
        """Their weight, resting ones included, by lane; token units."""
        return self._weights

    @property
    def running(self) -> dict[Lane, int]:
        """Calls under way, by lane."""
        return dict(self._slots.running)

    @property
    def in_flight(self) -> int:
        """Calls under way."""
        return self._slots.busy

    @property
    def slots(self) -> int:
        """Calls that may run at once."""
        return self._slots.rules.total

    @property
    def resting(self) -> int:
        """Jobs that pause before they are tried again."""
        return self._resting_count

    @property
    def idle(self) -> bool:
        """Nothing waits and nothing rests."""
        return not self._resting_count and not any(self._counts.values())

    def resize(self, slots: int) -> None:
        """So many calls may run at once from now on; those that run are left to end."""
        self._slots.resize(replace(self._slots.rules, total=slots))

    def add(self, job: Job) -> None:
        """Take in a new job."""
        job.order = next(self._order)
        self._queue(job, front=False)
        self._weights[job.lane] += job.work.weight
        if job.work.deadline is not None:
            heapq.heappush(self._deadlines, (job.work.deadline, next(self._order), job))

    def next_job(self, may_start: Callable[[Job], bool] | None = None) -> Job | None:
        """The job that gets a slot now, which it then holds until `ended`; None when none may.

        `may_start` is asked for the oldest of each model in the lanes that have a free slot.
        """
        waiting: dict[Lane, int] = self._counts
        while (lane := self._slots.next_lane(waiting)) is not None:
            job = self._first(lane, may_start)
            if job is not None:
                self._counts[lane] -= 1
                self._weights[lane] -= job.work.weight
                job.state = JobState.RUNNING
                self._slots.started(lane)
                return job
            waiting = {**waiting, lane: 0}
        return None

    def _first(self, lane: Lane, may_start: Callable[[Job], bool] | None) -> Job | None:
        """Take the oldest job of a lane that may start out of its queue."""
        heads = []
        queues = self._queues[lane]
        for model, queue in list(queues.items()):
            while queue and queue[0].state is not JobState.WAITING:
                queue.popleft()
            if queue:
                heads.append(queue[0])
            else:
                del queues[model]
        if len(heads) > 1:
            heads.sort(key=_by_order)
        for job in heads:
            if may_start is None or may_start(job):
                return queues[job.work.model].popleft()
        return None

    def beside(self, job: Job) -> None:
        """A job that has a slot takes another one; each is given back by `ended`."""
        self._slots.started(job.lane)

    def ended(self, job: Job) -> None:
        """The job gives its slot back."""
        self._slots.ended(job.lane)

    def rest(self, job: Job, until: float) -> None:
        """A job that had a slot, and gave it back, is tried again from `until` on."""
        job.state = JobState.RESTING
        self._resting_count += 1
        self._weights[job.lane] += job.work.weight
        heapq.heappush(self._resting, (until, next(self._order), job))
        if job.work.deadline is not None:
            heapq.heappush(self._deadlines, (job.work.deadline, next(self._order), job))

    def wake(self, now: float) -> None:
        """Put jobs whose rest is over at the front of their lanes."""
        while self._resting and self._resting[0][0] <= now:
            job = heapq.heappop(self._resting)[2]
            if job.state is JobState.RESTING:
                self._resting_count -= 1
                self._queue(job, front=True)

    def take_expired(self, now: float, most: int) -> list[Job]:
        """Remove and return jobs whose deadline has come while they waited or rested."""
        expired: list[Job] = []
        while len(expired) < most and self._deadlines and self._deadlines[0][0] <= now:
            job = heapq.heappop(self._deadlines)[2]
            if self.remove(job):
                expired.append(job)
        if len(self._deadlines) > 2 * (sum(self._counts.values()) + self._resting_count) + _SLACK:
            self._deadlines = [
                entry
                for entry in self._deadlines
                if entry[2].state in (JobState.WAITING, JobState.RESTING)
            ]
            heapq.heapify(self._deadlines)
        return expired

    def _sweep(self, lane: Lane) -> None:
        """Let go of removed jobs now and then: a lane that starts nothing would keep them all."""
        queues = self._queues[lane]
        if sum(map(len, queues.values())) > 2 * self._counts[lane] + _SLACK:
            for model, queue in queues.items():
                queues[model] = deque(_in_state(queue, JobState.WAITING))
        if len(self._resting) > 2 * self._resting_count + _SLACK:
            self._resting = [entry for entry in self._resting if entry[2].state is JobState.RESTING]
            heapq.heapify(self._resting)

    def next_change(self) -> float | None:
        """When a rest or a deadline ends next (it may prove to be of a job that is gone)."""
        times = [heap[0][0] for heap in (self._resting, self._deadlines) if heap]
        return min(times, default=None)

    def remove(self, job: Job) -> bool:
        """Take a waiting or resting job out; False when it was neither. Its state is SETTLED."""
        if job.state is JobState.WAITING:
            self._counts[job.lane] -= 1
        elif job.state is JobState.RESTING:
            self._resting_count -= 1
        else:
            return False
        self._weights[job.lane] -= job.work.weight
        job.state = JobState.SETTLED
        self._sweep(job.lane)
        return True

    def drop(self, gone: Callable[[Job], bool]) -> list[Job]:
        """Forget waiting and resting jobs of partitions that are no longer ours."""
        dropped = [job for job in self.held() if gone(job)]
        for job in dropped:
            self.remove(job)
            job.state = JobState.GONE
        return dropped

    def held(self) -> Iterator[Job]:
        """Every waiting and resting job, lane by lane, oldest first; collect before changing."""
        for lane in LANES:
            yield from self.waiting_in(lane)
        yield from _in_state((entry[2] for entry in self._resting), JobState.RESTING)

    def waiting_in(self, lane: Lane) -> Iterator[Job]:
        """Every job that waits for a slot in a lane, oldest first; collect before changing."""
        queues = self._queues[lane].values()
        return _in_state(merge(*queues, key=_by_order), JobState.WAITING)

    def _queue(self, job: Job, *, front: bool) -> None:
        job.state = JobState.WAITING
        self._counts[job.lane] += 1
        queue = self._queues[job.lane].setdefault(job.work.model, deque())
        if front:
            queue.appendleft(job)
        else:
            queue.append(job)


def _by_order(job: Job) -> int:
    return job.order


def _in_state(jobs: Iterable[Job], state: JobState) -> Iterator[Job]:
    return (job for job in jobs if job.state is state)
