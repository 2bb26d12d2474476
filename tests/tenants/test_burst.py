"""A burst of many times what a lane's room holds: how long the quiet tenants wait behind it.

The real sharding and the real bounds of what a worker holds, in simulated time; the worker serves
the tenants that it holds prompts of in turn, as `broker.core.fairness` does.
"""

from collections import Counter, defaultdict, deque
from typing import TYPE_CHECKING

import pytest

from broker.core.sharding import TenantShards
from tests.workers.building import PLAN, job
from workers.backlog import Backlog

if TYPE_CHECKING:
    from workers.job import Job

LANE = PLAN.partitions["light"]
STEP_S = 0.01
STARTS = 1
"""Prompts that are started in a step: 100 a second."""
ROOM = 400
BURST = 10 * ROOM
QUIET = [f"quiet-{number}" for number in range(20)]
"""Each sends a prompt a second."""


class Street:
    """The light lane of one provider, its worker, and the classifier before it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: defaultdict[str, list[float]] = defaultdict(list)
        self._shards = TenantShards(0.0)
        self._backlog = Backlog(max_records=ROOM * 5 // 2, max_bytes=10**9)
        self._partitions: dict[int, deque[tuple[float, str]]] = {p: deque() for p in LANE}
        self._paused: set[int] = set()
        self._held: defaultdict[str, deque[tuple[float, Job]]] = defaultdict(deque)
        self._served: Counter[str] = Counter()
        self._sent = self._ended = 0

    def send(self, tenant: str) -> None:
        """The classifier routes a prompt; it knows what waits."""
        wait_s = (self._sent - self._ended) * STEP_S / STARTS
        own = self._shards.within("light", tenant, LANE, self.now)
        self._partitions[own[self._sent % len(own)]].append((self.now, tenant))
        self._shards.sent("light", tenant, 100, wait_s, self.now)
        self._sent += 1

    def step(self) -> None:
        """The worker reads what it may, and starts what is next."""
        reads = True
        while reads:
            reads = False
            for partition, records in self._partitions.items():
                full = self._backlog.is_full("light", partition, paused=partition in self._paused)
                (self._paused.add if full else self._paused.discard)(partition)
                if records and not full:
                    sent_at, tenant = records.popleft()
                    one = job(partition=partition, size=1)
                    self._backlog.came(one)
                    self._held[tenant].append((sent_at, one))
                    reads = True
        for _ in range(STARTS):
            waiting = [tenant for tenant, held in self._held.items() if held]
            if waiting:
                tenant = min(waiting, key=self._served.__getitem__)
                self._served[tenant] = 1 + max(
                    self._served[tenant], min(map(self._served.__getitem__, waiting))
                )
                sent_at, one = self._held[tenant].popleft()
                self._backlog.started(one)
                self._ended += 1
                self.waits[tenant].append(self.now - sent_at)
        self.now += STEP_S


@pytest.mark.parametrize("burst_per_s", [500, 6_000])
def test_quiet_tenants_wait_a_moment_for_a_burst_of_ten_times_the_room(burst_per_s: int) -> None:
    street, left, due = Street(), BURST, 0.0
    for step in range(1_500):
        if step % 5 == 0:
            street.send(QUIET[step // 5 % len(QUIET)])
        if street.now >= 5.3:  # between two looks at who is noisy
            due += burst_per_s * STEP_S
        while due >= 1.0 and left:
            due -= 1.0
            left -= 1
            street.send("noisy")
        street.step()
    waits = [wait for one in QUIET for wait in street.waits[one]]
    assert len(waits) == 1_500 // 5
    assert max(waits) < 0.5
    assert len(street.waits["noisy"]) > 0.6 * (street.now - 5.3) / STEP_S
