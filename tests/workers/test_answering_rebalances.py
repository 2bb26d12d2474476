"""Partitions come and go in the middle of everything: still each record has exactly one end."""

import asyncio
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from broker.core.breaker import BreakerRules
from broker.core.lanes import LANES
from broker.log.units import Unit
from broker.records.work import Work
from tests.workers import local_provider as says
from tests.workers.building import PLAN, bench, job, on_loop, until, work
from tests.workers.test_answering import TOPIC, Collector, Running, mixed_replies
from workers.exchange import CallLimits
from workers.job import Job

RECORDS = 240


class Broker(Collector):
    """Also remembers committed offsets with their metadata, for whoever gets the partition next."""

    def __init__(self) -> None:
        super().__init__(60)
        self.positions: dict[tuple[str, int], tuple[int, str]] = {}

    def commit(self) -> None:
        preview = self.book.preview(self.pending)
        assert not preview.held
        for place in preview.offsets:
            self.positions[place.topic, place.partition] = (place.offset, place.metadata)
        super().commit()

    def submit(self, units: Sequence[Unit]) -> None:
        self.pending += units
        self.most_pending = max(self.most_pending, len(self.pending))
        # As uneven as the real one.
        pause = random.Random(len(self.committed)).choice((0.0, 0.005, 0.03))
        asyncio.get_running_loop().call_later(pause, self.commit)


class Topic:
    """The log of work, read by one worker that loses partitions and gets them back."""

    def __init__(self, worker: Running, broker: Broker) -> None:
        self.worker = worker
        self.broker = broker
        self.log: defaultdict[int, list[Work]] = defaultdict(list)
        self.owned: set[int] = set()
        self.at: dict[int, int] = {}

    def write(self, partition: int, given: Work) -> None:
        self.log[partition].append(given)

    def take(self, partition: int) -> None:
        base, metadata = self.broker.positions.get((TOPIC, partition), (0, ""))
        self.worker.epoch += 1
        self.broker.book.assign((TOPIC, partition), self.worker.epoch, base, metadata)
        self.owned.add(partition)
        self.at[partition] = base

    def lose(self, partition: int) -> None:
        self.owned.discard(partition)
        self.worker.lose([partition])

    def poll(self) -> None:
        """Deliver what is new in the partitions that are ours."""
        self.worker.answering.arrived(
            [one for partition in sorted(self.owned) for one in self._new(partition)]
        )

    def _new(self, partition: int) -> Iterator[Job]:
        place = (TOPIC, partition)
        epoch = self.broker.book.epoch(place)
        assert epoch is not None
        for offset in range(self.at[partition], len(self.log[partition])):
            if self.broker.book.delivered(place, offset):
                given = self.log[partition][offset]
                one = job(given, partition=partition, offset=offset, epoch=epoch)
                self.worker.made.backlog.came(one)
                yield one
        self.at[partition] = len(self.log[partition])


async def history(seed: int) -> None:
    drawn = random.Random(seed)
    limits = CallLimits(connect=1.0, first_byte=0.25, between_bytes=0.25, total=2.0)
    async with says.local_provider() as provider:
        breaker = BreakerRules(least=20, open_s=0.05, open_cap_s=0.1)
        made = bench(provider.url, limits=limits, breaker=breaker, slots=12)
        broker = Broker()
        worker = Running(made, provider, broker)
        topic = Topic(worker, broker)
        for partition in range(PLAN.total):
            topic.take(partition)
        for n in range(RECORDS):
            provider.replies[f"p{n}"] = mixed_replies(drawn)
            late = time.time() + drawn.choice((0.0, 0.1)) if n % 17 == 0 else None
            topic.write(drawn.randrange(PLAN.total), work(f"p{n}", deadline=late))
            await step(drawn, topic)
        for partition in set(range(PLAN.total)) - topic.owned:
            topic.take(partition)
        topic.poll()
        await until(lambda: len(broker.committed) >= RECORDS, 40)
        await until(lambda: not worker.answering.running)
        await asyncio.sleep(0.05)
        check(topic, worker)
        assert await worker.answering.finish(1.0) == 0
        await made.attempts.client.close()


async def step(drawn: random.Random, topic: Topic) -> None:
    what = drawn.random()
    if what < 0.08 and topic.owned:
        topic.lose(drawn.choice(sorted(topic.owned)))
    elif what < 0.16:
        away = sorted(set(range(PLAN.total)) - topic.owned)
        if away:
            topic.take(drawn.choice(away))
    elif what < 0.2 and topic.owned:
        # Lost and got back at once, before anything else could happen.
        partition = drawn.choice(sorted(topic.owned))
        topic.poll()
        topic.lose(partition)
        topic.take(partition)
    if drawn.random() < 0.6:
        topic.poll()
    if drawn.random() < 0.5:
        await asyncio.sleep(drawn.choice((0.0, 0.0, 0.002, 0.01)))


def check(topic: Topic, worker: Running) -> None:
    places = worker.places()
    assert set(places.values()) == {1}
    assert set(places) == {(p, o) for p, own in topic.log.items() for o in range(len(own))}
    ended: Counter[Any] = Counter(one.id for one in worker.completions())
    ended.update(one.id for one in worker.moves())
    assert ended == Counter(f"p{n}" for n in range(RECORDS))
    for partition, own in topic.log.items():
        assert topic.broker.positions[TOPIC, partition][0] == len(own)
    worker.check_all_free()
    assert all(worker.made.backlog.waiting(lane) == 0 for lane in LANES)
    # Every call that began has its end in the journal, also those that were given up.
    begun, done = (worker.made.journal.of(event) for event in ("started", "ended"))
    assert Counter(e.id for e in begun) == Counter(e.id for e in done)


@pytest.mark.parametrize("seed", range(6))
def test_every_record_ends_exactly_once_while_partitions_come_and_go(seed: int) -> None:
    on_loop(history(seed))
