"""The event-loop side of a worker, whole: many jobs, failures, lost partitions, and its end."""

import asyncio
import random
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from broker.core.breaker import BreakerRules
from broker.core.cancels import Cancels
from broker.core.lanes import LANES
from broker.core.retries import RetryRules
from broker.core.retry_budget import RetryBudget
from broker.log.progress_book import ProgressBook
from broker.log.units import Unit
from broker.records.completion import Completion, decode_completion
from broker.records.work import decode_work
from tests.workers import local_provider as says
from tests.workers.building import (
    PLAN,
    TOPICS,
    Bench,
    bench,
    job,
    on_loop,
    partition_of,
    report,
    until,
    work,
)
from workers.answering import Answering, Parts
from workers.exchange import CallLimits
from workers.job import Arrival, Job, JobState, Place, UnreadableWork

TOPIC = TOPICS.work("azure")


class Collector:
    """A committer that keeps what the real one would commit: live units, each once."""

    def __init__(self, most: int = 1_000) -> None:
        self.book = ProgressBook()
        self.most = most
        self.held = False
        self.pending: list[Unit] = []
        self.most_pending = 0
        self.committed: list[Unit] = []
        self.answering: Answering | None = None

    @property
    def room(self) -> int:
        return self.most - len(self.pending)

    def submit(self, units: Sequence[Unit]) -> None:
        self.pending += units
        self.most_pending = max(self.most_pending, len(self.pending))
        asyncio.get_running_loop().call_later(0.005, self.commit)

    def commit(self) -> None:
        if self.held or not self.pending:
            return
        done = self.book.live(self.pending)
        self.pending = []
        self.book.confirm(done)
        self.committed += done
        assert self.answering is not None
        self.answering.pump()


class Running:
    """A worker without Kafka: records are read into it by hand."""

    def __init__(self, made: Bench, provider: says.Provider, collector: Collector) -> None:
        self.made = made
        self.provider = provider
        self.collector = collector
        self.cancels = Cancels()
        self.answering = Answering(
            Parts(
                made.attempts, made.dispatcher, made.backlog, made.budget, collector, self.cancels
            )
        )
        collector.answering = self.answering
        self.next: defaultdict[int, int] = defaultdict(int)
        self.epoch = 0
        self.assign(range(PLAN.total))

    def assign(self, partitions: Sequence[int]) -> None:
        self.epoch += 1
        for partition in partitions:
            self.collector.book.assign((TOPIC, partition), self.epoch, self.next[partition], "")

    def lose(self, partitions: Sequence[int]) -> None:
        for partition in partitions:
            self.collector.book.revoke((TOPIC, partition))
        self.answering.dropped(frozenset(partitions))

    def read(self, *records: tuple[int, Any]) -> list[Arrival]:
        """Deliver work (or, for None, garbage) by partition."""
        batch: list[Arrival] = []
        for partition, given in records:
            offset = self.next[partition]
            self.next[partition] += 1
            assert self.collector.book.delivered((TOPIC, partition), offset)
            lane = PLAN.lane_of(partition)
            assert lane is not None
            if given is None:
                place = Place(TOPIC, partition, offset, self.epoch)
                one: Arrival = UnreadableWork(place, lane, 9, b"k", b"{", (), "bad", "Bad.")
            else:
                one = job(given, partition=partition, offset=offset, epoch=self.epoch)
            self.made.backlog.came(one)
            batch.append(one)
        self.answering.arrived(batch)
        return batch

    def cancel(self, *ids: str, at: float | None = None) -> None:
        """Somebody cancels these."""
        for one in ids:
            self.cancels.note(one, time.time() if at is None else at)
        self.answering.cancelled(set(ids))

    def completions(self) -> list[Completion]:
        outputs = [o for unit in self.collector.committed for o in unit.outputs]
        return [decode_completion(o.value) for o in outputs if o.topic == TOPICS.completions]

    def moves(self) -> list[Any]:
        outputs = [o for unit in self.collector.committed for o in unit.outputs]
        return [decode_work(o.value) for o in outputs if ".work." in o.topic]

    def places(self) -> Counter[tuple[int, int]]:
        return Counter((unit.partition, unit.offset) for unit in self.collector.committed)

    def check_all_free(self) -> None:
        """Nothing is left over: no slot, no ticket, nothing in the backlog."""
        made = self.made
        assert self.answering.running == 0
        assert made.dispatcher.in_flight == 0
        assert {lane: made.backlog.waiting(lane) for lane in LANES} == {
            lane: made.dispatcher.waiting[lane] + resting_in(made, lane) for lane in LANES
        }
        if made.dispatcher.idle:
            assert all(made.backlog.held_bytes(lane) == 0 for lane in LANES)
        assert made.breaker._out == 0  # noqa: SLF001 - tickets not given back
        assert not made.attempts.allowance._under_way  # noqa: SLF001 - calls that never end
        assert not made.attempts.tallies.expected._under_way  # noqa: SLF001 - as above


def resting_in(made: Bench, lane: str) -> int:
    states = [one.state for one in made.dispatcher.held() if one.lane == lane]
    return states.count(JobState.RESTING)


@asynccontextmanager
async def running(most: int = 1_000, **given: Any) -> AsyncIterator[Running]:
    async with says.local_provider() as provider:
        made = bench(provider.url, **given)
        worker = Running(made, provider, Collector(most))
        try:
            yield worker
        finally:
            await worker.answering.finish(0.0)
            await made.attempts.client.close()


def mixed_replies(drawn: random.Random) -> list[says.Reply]:
    """Up to three failures of any kind, then an answer."""
    failures: list[says.Reply] = [
        says.error(429, "rate_limit_exceeded", retry_after_ms="20"),
        says.error(500),
        says.error(503),
        says.cut,
        says.cut_inside,
        says.bytes_of(b"{"),
        says.error(401, "invalid_api_key"),
        says.error(400),
        says.error(400, "content_filter"),
        says.silent(),
    ]
    wanted = drawn.choice((0, 0, 0, 1, 1, 2, 3))
    return [*(drawn.choice(failures) for _ in range(wanted)), says.good()]


class TestWholeRun:
    def test_every_job_ends_exactly_once_whatever_its_provider_does(self) -> None:
        async def main() -> None:
            drawn = random.Random(4)
            limits = CallLimits(connect=1.0, first_byte=0.3, between_bytes=0.3, total=2.0)
            breaker = BreakerRules(least=20, open_s=0.05, open_cap_s=0.1)
            async with running(40, limits=limits, breaker=breaker, slots=16) as worker:
                wanted = 400
                for n in range(wanted):
                    worker.provider.replies[f"p{n}"] = mixed_replies(drawn)
                    deadline = time.time() + drawn.choice((0.0, 0.05)) if n % 23 == 0 else None
                    given = work(f"p{n}", deadline=deadline)
                    worker.read((drawn.randrange(PLAN.total), given))
                    if n % 31 == 0:
                        worker.read((drawn.randrange(PLAN.total), None))
                    if n % 10 == 0:
                        await asyncio.sleep(0.002)
                garbage = len(range(0, wanted, 31))
                await until(lambda: len(worker.collector.committed) == wanted + garbage, 40)
                await asyncio.sleep(0.05)
                assert set(worker.places().values()) == {1}
                ended = Counter(one.id for one in worker.completions())
                ended.update(one.id for one in worker.moves())
                assert ended == Counter(f"p{n}" for n in range(wanted))
                statuses = Counter(one.status for one in worker.completions())
                assert set(statuses) == {"succeeded", "failed", "refused", "expired"}
                assert worker.moves()
                assert worker.collector.most_pending <= 40
                worker.check_all_free()
                started, done = (worker.made.journal.of(e) for e in ("started", "ended"))
                key = lambda event: (event.id, event.attempt)  # noqa: E731 - two uses, one line
                assert Counter(map(key, started)) == Counter(map(key, done))
                assert max(Counter(map(key, started)).values()) == 1

        on_loop(main())

    def test_retries_stay_within_their_budget_while_all_calls_fail(self) -> None:
        async def main() -> None:
            rules = RetryRules(base_s=0.005, cap_s=0.02)
            budget = RetryBudget(0.1, floor=3)
            async with running(rules=rules, budget=budget) as worker:
                worker.provider.reply = says.error(429, "rate_limit_exceeded")
                worker.read(*((n % 12, work(f"p{n}")) for n in range(100)))
                await until(lambda: len(worker.collector.committed) == 100)
                calls = len(worker.provider.asked)
                assert 100 <= calls <= 112
                assert len(worker.moves()) == 100
                assert any("budget of retries" in one.route[-1].reason for one in worker.moves())
                worker.check_all_free()

        on_loop(main())


class TestBreaker:
    def test_while_it_is_open_what_waits_goes_elsewhere_and_probes_bring_it_back(self) -> None:
        async def main() -> None:
            breaker = BreakerRules(in_a_row=4, open_s=0.3, open_cap_s=0.3)
            async with running(breaker=breaker, slots=4) as worker:
                worker.provider.reply = says.error(401)
                worker.read(*((0, work(f"a{n}")) for n in range(20)))
                await until(lambda: len(worker.collector.committed) == 20)
                assert len(worker.moves()) == 20
                assert len(worker.provider.asked) < 20
                assert any("is off for" in one.route[-1].reason for one in worker.moves())
                worker.provider.reply = says.good()
                await until(lambda: worker.made.breaker.state(time.time()) == "half_open")
                worker.read(*((0, work(f"b{n}")) for n in range(4)))
                await until(lambda: worker.made.breaker.state(time.time()) == "closed")
                await until(lambda: len(worker.collector.committed) == 24)
                worker.check_all_free()

        on_loop(main())

    def test_with_nowhere_to_go_the_waiting_ones_are_called_once_it_lets_them(self) -> None:
        async def main() -> None:
            breaker = BreakerRules(in_a_row=2, open_s=0.2, open_cap_s=0.2)
            async with running(breaker=breaker, slots=2) as worker:
                everywhere = ("google", "coreweave", "azure")
                worker.provider.replies = {f"a{n}": [says.error(500)] for n in range(2)}
                worker.read(*((0, work(f"a{n}", route=everywhere)) for n in range(2)))
                await until(lambda: worker.made.breaker.state(time.time()) == "open")
                worker.read(*((0, work(f"b{n}", route=everywhere)) for n in range(6)))
                await until(lambda: len(worker.completions()) == 8)
                assert sum(one.status == "succeeded" for one in worker.completions()) == 6
                worker.check_all_free()

        on_loop(main())

    def test_probes_that_are_lost_with_their_partition_leave_room_for_others(self) -> None:
        async def main() -> None:
            breaker = BreakerRules(in_a_row=2, open_s=0.05, open_cap_s=0.05, probes=2)
            async with running(breaker=breaker) as worker:
                at = time.time()
                for _ in range(2):
                    ticket = worker.made.breaker.allows(at)
                    assert ticket is not None
                    worker.made.breaker.failed(ticket, at)
                await until(lambda: worker.made.breaker.state(time.time()) == "half_open")
                worker.made.journal.stuck = True
                everywhere = ("google", "coreweave", "azure")
                worker.read(*((n, work(f"a{n}", route=everywhere)) for n in range(2)))
                await until(lambda: worker.made.journal.events)
                worker.lose([0, 1])
                await until(lambda: not worker.answering.running)
                worker.made.journal.stuck = False
                worker.read(*((2, work(f"b{n}", route=everywhere)) for n in range(2)))
                await until(lambda: len(worker.completions()) == 2)
                assert worker.made.breaker.state(time.time()) == "closed"
                worker.check_all_free()

        on_loop(main())

    def test_an_outage_does_not_pile_up_moves_beyond_what_the_committer_has_room_for(self) -> None:
        async def main() -> None:
            breaker = BreakerRules(in_a_row=1, open_s=30, open_cap_s=30)
            async with running(20, breaker=breaker) as worker:
                ticket = worker.made.breaker.allows(time.time())
                assert ticket is not None
                worker.made.breaker.failed(ticket, time.time())
                worker.collector.held = True
                for n in range(100):
                    worker.read((0, work(f"p{n}")))
                await asyncio.sleep(0.4)
                assert worker.collector.most_pending <= 20
                assert worker.made.backlog.waiting("light") >= 80
                worker.collector.held = False
                worker.collector.commit()
                await until(lambda: len(worker.moves()) == 100)
                worker.check_all_free()

        on_loop(main())


class TestRoom:
    def test_without_room_nothing_starts_and_a_commit_starts_it(self) -> None:
        async def main() -> None:
            async with running(3, slots=8) as worker:
                worker.collector.held = True
                worker.read(*((0, work(f"p{n}")) for n in range(9)))
                await until(lambda: len(worker.collector.pending) == 3)
                await asyncio.sleep(0.05)
                assert len(worker.provider.asked) == 3
                worker.collector.held = False
                worker.collector.commit()
                await until(lambda: len(worker.completions()) == 9)
                assert worker.collector.most_pending == 3

        on_loop(main())

    def test_expired_and_unreadable_ones_wait_for_room_without_spinning(self) -> None:
        async def main() -> None:
            async with running(2) as worker:
                worker.collector.held = True
                pumps = 0
                pump = worker.answering.pump

                def counted() -> None:
                    nonlocal pumps
                    pumps += 1
                    pump()

                worker.answering.pump = counted  # type: ignore[method-assign]  # to count it
                late = [(0, work(f"p{n}", deadline=time.time() - 1)) for n in range(5)]
                worker.read(*late, (0, None), (1, None))
                await asyncio.sleep(0.5)
                assert worker.collector.most_pending <= 2
                assert pumps < 20
                worker.collector.held = False
                worker.collector.commit()
                await until(lambda: len(worker.collector.committed) == 7)
                assert not worker.provider.asked
                assert {one.status for one in worker.completions()} == {"expired"}
                assert worker.made.value("weighbridge_bad_work_records_total") == 2
                worker.check_all_free()

        on_loop(main())


class TestLostPartitions:
    def test_nothing_comes_of_a_lost_partition_and_its_slots_are_free(self) -> None:
        async def main() -> None:
            async with running(slots=4) as worker:
                worker.provider.reply = says.silent()
                worker.read(*((n % 2, work(f"p{n}")) for n in range(12)), (0, None))
                await until(lambda: len(worker.provider.asked) == 4)
                committed = len(worker.collector.committed)
                worker.provider.reply = says.good()
                worker.lose([0])
                await until(lambda: worker.made.dispatcher.idle and worker.answering.running == 2)
                worker.assign([0])
                fresh = worker.read((0, work("again")))
                await until(lambda: any(one.id == "again" for one in worker.completions()))
                assert isinstance(fresh[0], Job)
                assert all(
                    unit.epoch == worker.epoch or unit.partition != 0
                    for unit in worker.collector.committed[committed:]
                )
                gone = [e for e in worker.made.journal.of("ended") if e.code == "given_up"]
                assert len(gone) == 2

        on_loop(main())

    def test_a_partition_lost_before_its_calls_began_gives_its_slots_back(self) -> None:
        """A task that is cancelled before its first step runs no code, no `finally` either."""

        async def main() -> None:
            async with running(slots=4) as worker:
                worker.read(*((0, work(f"p{n}")) for n in range(4)))
                assert worker.answering.running == 4
                worker.lose([0])
                await until(lambda: worker.answering.running == 0)
                worker.check_all_free()
                worker.read(*((1, work(f"q{n}")) for n in range(4)))
                await until(lambda: len(worker.completions()) == 4)
                assert not worker.made.journal.of("started")[4:]

        on_loop(main())

    def test_a_result_that_came_just_before_the_loss_is_not_kept(self) -> None:
        async def main() -> None:
            async with running() as worker:
                (one,) = worker.read((0, work("a")))
                assert isinstance(one, Job)
                task = worker.answering._running[one]  # noqa: SLF001 - to lose it at that moment
                lost = asyncio.Event()

                def lose(_task: object) -> None:
                    worker.lose([0])
                    lost.set()

                # It happens before the worker itself looks at the ended task.
                mine = task._callbacks[0][0]  # noqa: SLF001 - callbacks run in their order
                task.remove_done_callback(mine)
                task.add_done_callback(lose)
                task.add_done_callback(mine)
                await lost.wait()
                await until(lambda: worker.answering.running == 0)
                await asyncio.sleep(0.02)
                assert one.state is JobState.GONE
                assert not worker.collector.committed
                assert not worker.collector.pending
                worker.check_all_free()

        on_loop(main())

    def test_resting_jobs_of_a_lost_partition_are_not_tried_again(self) -> None:
        async def main() -> None:
            async with running() as worker:
                worker.provider.reply = says.error(429, retry_after_ms="100")
                worker.read((0, work("a")))
                await until(lambda: worker.made.dispatcher.resting)
                worker.lose([0])
                await asyncio.sleep(0.2)
                assert len(worker.provider.asked) == 1
                worker.check_all_free()

        on_loop(main())


class TestDrain:
    def test_what_runs_is_finished_and_what_waits_is_handed_back(self) -> None:
        async def main() -> None:
            async with running(slots=2) as worker:
                slow = says.streamed(
                    says.chunk("Because"), says.chunk(finish="stop"), says.DONE, pause_s=0.1
                )
                worker.provider.reply = slow
                stream = {"stream": True}
                worker.read(*((0, work(f"p{n}", fields=stream)) for n in range(6)))
                await until(lambda: len(worker.provider.asked) == 2)
                assert await worker.answering.finish(10.0) == 0
                await until(lambda: len(worker.completions()) == 2)
                await asyncio.sleep(0.05)
                assert len(worker.provider.asked) == 2
                assert worker.made.backlog.waiting("light") == 4
                worker.check_all_free()

        on_loop(main())

    def test_what_does_not_end_in_time_is_given_up_and_not_committed(self) -> None:
        async def main() -> None:
            async with running(slots=2) as worker:
                worker.provider.reply = says.silent()
                worker.read((0, work("a")), (0, work("b")))
                await until(lambda: len(worker.provider.asked) == 2)
                began = time.monotonic()
                assert await worker.answering.finish(0.1) == 2
                assert time.monotonic() - began < 2
                assert not worker.collector.pending
                assert not worker.collector.committed
                worker.check_all_free()

        on_loop(main())

    def test_a_retry_that_is_due_after_the_drain_is_left_to_the_next_owner(self) -> None:
        async def main() -> None:
            async with running() as worker:
                worker.provider.reply = says.error(429, retry_after_ms="50")
                worker.read((0, work("a")))
                await until(lambda: worker.made.dispatcher.resting)
                await worker.answering.finish(1.0)
                await asyncio.sleep(0.15)
                assert len(worker.provider.asked) == 1
                assert not worker.collector.committed

        on_loop(main())


class TestFaultsOfOurOwn:
    def test_a_job_that_breaks_the_worker_fails_and_its_slot_is_free(self) -> None:
        async def main() -> None:
            async with running() as worker:
                bad = work("a", fields={"tool": 1 << 70})  # no JSON of ours can say it
                worker.read((0, bad), (0, work("b")))
                await until(lambda: len(worker.completions()) == 2)
                ends = {one.id: one for one in worker.completions()}
                assert ends["b"].status == "succeeded"
                error = ends["a"].error
                assert error is not None
                assert (ends["a"].status, error.code) == ("failed", "internal")
                worker.check_all_free()

        on_loop(main())

    def test_a_move_that_cannot_be_written_ends_as_a_failure(self) -> None:
        async def main() -> None:
            async with running() as worker:
                worker.provider.reply = says.error(401)
                lanes = worker.made.attempts.endings._deployment.work_lanes  # noqa: SLF001 - see below
                lanes.pop("google")  # type: ignore[attr-defined]  # settings that do not agree
                worker.read((0, work("a")))
                await until(lambda: len(worker.completions()) == 1)
                assert worker.completions()[0].status == "failed"
                worker.check_all_free()

        on_loop(main())


def test_light_ones_have_their_slots_while_heavy_ones_wait() -> None:
    async def main() -> None:
        async with running(slots=8) as worker:
            heavy = partition_of("heavy")
            worker.provider.replies = {f"h{n}": [says.silent()] for n in range(20)}
            worker.read(*((heavy, work(f"h{n}")) for n in range(20)))
            await until(lambda: len(worker.provider.asked) == 6)
            worker.read(*((0, work(f"l{n}")) for n in range(10)))
            await until(lambda: len(worker.completions()) == 10)
            assert worker.made.dispatcher.running["heavy"] == 6

    on_loop(main())


def test_work_is_moved_to_where_the_reports_say_it_is_quicker() -> None:
    async def main() -> None:
        async with running() as worker:
            worker.made.reports["google"] = (report("google", waiting_weight=9_000),)
            worker.made.reports["coreweave"] = (report("coreweave"),)
            worker.provider.reply = says.error(401)
            worker.read((0, work("a")))
            await until(worker.moves)
            (moved,) = worker.moves()
            assert [step.provider for step in moved.route] == ["azure", "coreweave"]
            assert moved.attempt == 1
            assert (
                worker.made.value("weighbridge_moves_total", to="coreweave", reason="failed") == 1
            )

    on_loop(main())
