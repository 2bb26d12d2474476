"""What of a worker's jobs runs next: the waiting room of `broker.core.waiting`, with job states."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from broker.core.waiting import WaitingRoom
from workers.job import Job, JobState


class Dispatcher(WaitingRoom[Job]):
    """Queues and slots of one worker. Not thread-safe. `workers.backlog` bounds what it holds."""

    def add(self, item: Job, now: float) -> None:
        """Take in a new job; it rests first when it may not start yet."""
        super().add(item, now)
        item.state = JobState.RESTING if self.rests(item) else JobState.WAITING

    def keep_for_light(self, share: float) -> None:
        """Another share of the slots that only light prompts may use; what runs is left to end."""
        self._slots.resize(replace(self._slots.rules, light_share=share))

    def next_job(self, may_start: Callable[[Job], bool] | None = None) -> Job | None:
        """The job that gets a slot now, which it then holds until `ended`; None when none may."""
        job = self.next(may_start)
        if job is not None:
            job.state = JobState.RUNNING
        return job

    def rest(self, item: Job, until: float) -> None:
        """A job that had a slot, and gave it back, is tried again from `until` on."""
        super().rest(item, until)
        item.state = JobState.RESTING

    def wake(self, now: float) -> list[Job]:
        """Let jobs wait again whose rest is over, and return them."""
        woken = super().wake(now)
        for job in woken:
            job.state = JobState.WAITING
        return woken

    def resting_until(self) -> Iterator[tuple[Job, float]]:
        """Every resting job, with when its rest ends; collect before changing."""
        return iter(self._resting.items())

    def remove(self, item: Job) -> bool:
        """Take a waiting or resting job out; False when it was neither. Its state is SETTLED."""
        if not super().remove(item):
            return False
        item.state = JobState.SETTLED
        return True

    def drop(self, gone: Callable[[Job], bool]) -> list[Job]:
        """Forget waiting and resting jobs of partitions that are no longer ours."""
        dropped = super().drop(gone)
        for job in dropped:
            job.state = JobState.GONE
        return dropped
