"""A provider's workers, and which of them reads what is written to its work topic."""

from collections.abc import Sequence

from broker.core.lanes import LanePlan
from broker.simulate.worker import SimulatedWorker


class Pool:
    """Workers that share a work topic's partitions in turn, as its consumer group gives them out.

    A lane is a range of partitions. So workers have nearly equal parts of each lane and of every
    quota; those beyond the number of partitions have none.
    """

    def __init__(self, workers: Sequence[SimulatedWorker], plan: LanePlan, now: float) -> None:
        self.workers = tuple(workers)
        self._readers = [workers[number % len(workers)] for number in range(plan.total)]
        self._lanes: dict[str, tuple[int, int]] = {
            lane: (own.start, len(own)) for lane, own in plan.partitions.items()
        }
        for worker in workers:
            worker.assigned(self._readers.count(worker), plan.total, now)

    def reader(self, lane: str, turn: int) -> SimulatedWorker:
        """Who reads what is written in transaction `turn`: each writes to one partition a lane."""
        first, count = self._lanes[lane]
        return self._readers[first + turn % count]
