"""Cancels that reach a worker: at every stage the job ends once, and holds nothing afterwards."""

import asyncio
import random
import time
from collections import Counter

import pytest
from aiohttp import web

from broker.core.breaker import BreakerRules
from broker.core.lanes import LANES
from tests.workers import local_provider as says
from tests.workers.building import PLAN, on_loop, partition_of, until, work
from tests.workers.test_answering import Running, running
from workers.job import Job

STREAM = {"stream": True}


def statuses(worker: Running) -> dict[str, str]:
    found: dict[str, str] = {one.id: one.status for one in worker.completions()}
    assert len(found) == len(worker.completions())
    return found


class TestWhatWaits:
    def test_one_that_waits_for_a_slot_ends_and_the_others_go_on(self) -> None:
        async def main() -> None:
            async with running(slots=1) as worker:
                worker.provider.replies["first"] = [says.silent(0.3)]
                worker.read(*((0, work(name)) for name in ("first", "b", "c")))
                await until(lambda: worker.provider.served["first"] == 1)
                worker.cancel("b", "nobody")
                await until(lambda: len(worker.completions()) == 3)
                assert statuses(worker).pop("b") == "cancelled"
                assert Counter(statuses(worker).values())["succeeded"] == 2
                assert not worker.provider.served["b"]
                ended = next(one for one in worker.completions() if one.id == "b")
                assert (ended.calls, ended.cost_usd) == (0, 0.0)
                assert ended.error is not None
                assert (ended.error.type, ended.error.code) == ("cancelled", "cancelled")
                worker.check_all_free()

        on_loop(main())

    def test_one_that_was_cancelled_before_it_was_read_never_starts(self) -> None:
        async def main() -> None:
            async with running() as worker:
                worker.cancel("a")
                worker.read((0, work("a")), (partition_of("heavy"), work("b")))
                await until(lambda: len(worker.completions()) == 2)
                assert statuses(worker) == {"a": "cancelled", "b": "succeeded"}
                assert not worker.provider.served["a"]
                worker.check_all_free()

        on_loop(main())

    def test_an_old_cancel_of_the_same_id_ends_nothing(self) -> None:
        async def main() -> None:
            async with running() as worker:
                worker.cancel("a", at=time.time() - 3_700)
                worker.read((0, work("a")))
                await until(lambda: len(worker.completions()) == 1)
                assert statuses(worker) == {"a": "succeeded"}

        on_loop(main())

    def test_one_that_rests_before_its_next_try_ends_with_what_it_cost(self) -> None:
        async def main() -> None:
            async with running() as worker:
                worker.provider.reply = says.error(429, retry_after_ms="5000")
                worker.read((0, work("a", fields={"provider": "azure"})))
                await until(lambda: worker.made.dispatcher.resting)
                worker.cancel("a")
                await until(lambda: len(worker.completions()) == 1)
                (ended,) = worker.completions()
                assert (ended.status, ended.calls) == ("cancelled", 1)
                worker.check_all_free()

        on_loop(main())

    def test_without_room_it_waits_for_its_end_and_is_not_started(self) -> None:
        async def main() -> None:
            async with running(1, slots=1) as worker:
                worker.collector.held = True
                worker.read((0, work("first")))
                await until(lambda: worker.collector.pending)
                worker.read((0, work("a")), (0, work("b")))
                worker.cancel("a", "b")
                worker.collector.held = False
                worker.collector.commit()
                await until(lambda: len(worker.completions()) == 3)
                assert Counter(statuses(worker).values()) == {"succeeded": 1, "cancelled": 2}
                assert worker.collector.most_pending == 1
                worker.check_all_free()

        on_loop(main())

    def test_one_of_a_lost_partition_is_left_to_its_next_owner(self) -> None:
        async def main() -> None:
            async with running(1, slots=1) as worker:
                worker.collector.held = True
                worker.read((1, work("first")))
                await until(lambda: worker.collector.pending)
                worker.read((0, work("a")))
                worker.cancel("a")
                worker.lose([0])
                worker.collector.held = False
                worker.collector.commit()
                await until(lambda: len(worker.completions()) == 1)
                await asyncio.sleep(0.05)
                assert statuses(worker) == {"first": "succeeded"}
                worker.check_all_free()

        on_loop(main())


class TestWhatRuns:
    def test_the_connection_is_closed_and_the_call_is_noted_as_cancelled(self) -> None:
        async def main() -> None:
            async with running() as worker:
                closed = asyncio.Event()

                async def waits(request: web.Request) -> web.StreamResponse:
                    try:
                        return await says.silent()(request)
                    finally:
                        closed.set()  # the server hears of the end of the connection

                worker.provider.reply = waits
                worker.read((0, work("a")))
                await until(lambda: worker.provider.served["a"])
                worker.cancel("a")
                await asyncio.wait_for(closed.wait(), 20)
                await until(worker.completions)
                (ended,) = worker.completions()
                assert (ended.status, ended.calls) == ("cancelled", 1)
                # Nobody knows what the provider did until then.
                assert ended.cost_usd is None
                (event,) = worker.made.journal.of("ended")
                assert (event.outcome, event.code) == ("stop", "cancelled")
                worker.check_all_free()

        on_loop(main())

    def test_a_stream_gets_its_last_piece(self) -> None:
        async def main() -> None:
            async with running() as worker:
                text = "twelve chars" * 20
                worker.provider.reply = says.streamed(says.chunk(text), end="hang")
                worker.read((0, work("a", fields=STREAM)))
                await until(lambda: len(worker.made.chunks.taken) >= 2)
                worker.cancel("a")
                await until(worker.completions)
                assert statuses(worker) == {"a": "cancelled"}
                last = worker.made.chunks.taken[-1]
                assert (last.event, last.code) == ("failed", "cancelled")
                # What had come is paid for, and the provider may have gone on.
                (event,) = worker.made.journal.of("ended")
                assert (event.output_tokens, event.cost_estimated) == (60, True)
                (ended,) = worker.completions()
                assert ended.cost_usd == event.cost_usd
                assert ended.cost_usd
                worker.check_all_free()

        on_loop(main())

    def test_both_calls_of_a_hedged_one_are_stopped(self) -> None:
        async def main() -> None:
            async with running(hedge_after_s=0.05) as worker:
                worker.provider.reply = says.silent()
                hedged = work("a", priority="interactive", fields={"provider": "azure"})
                worker.read((0, hedged))
                await until(lambda: worker.provider.served["a"] == 2)
                worker.cancel("a")
                await until(worker.completions)
                (ended,) = worker.completions()
                assert (ended.status, ended.calls) == ("cancelled", 2)
                codes = [event.code for event in worker.made.journal.of("ended")]
                assert codes == ["cancelled", "cancelled"]
                worker.check_all_free()

        on_loop(main())

    def test_one_whose_task_has_not_begun_yet_gives_its_slot_and_ticket_back(self) -> None:
        async def main() -> None:
            async with running(slots=4) as worker:
                worker.read(*((0, work(f"p{n}")) for n in range(4)))
                assert worker.answering.running == 4
                worker.cancel(*(f"p{n}" for n in range(4)))
                await until(lambda: len(worker.completions()) == 4)
                assert set(statuses(worker).values()) == {"cancelled"}
                assert not worker.provider.asked
                worker.check_all_free()

        on_loop(main())

    def test_a_probe_of_a_half_open_breaker_that_is_cancelled_leaves_room_for_the_next(
        self,
    ) -> None:
        async def main() -> None:
            breaker = BreakerRules(in_a_row=1, open_s=0.1, open_cap_s=0.1)
            async with running(breaker=breaker, slots=2) as worker:
                everywhere = ("google", "coreweave", "azure")
                worker.provider.replies["x"] = [says.error(500)]
                worker.provider.replies["probe"] = [says.silent()]
                worker.read((0, work("x", route=everywhere)))
                await until(lambda: worker.made.breaker.state(time.time()) != "closed")
                worker.read((0, work("probe", route=everywhere)))
                await until(lambda: worker.provider.served["probe"])
                worker.cancel("probe")
                worker.read((0, work("next", route=everywhere)))
                await until(lambda: "next" in statuses(worker))
                assert statuses(worker)["next"] == "succeeded"
                assert statuses(worker)["probe"] == "cancelled"
                worker.check_all_free()

        on_loop(main())

    def test_an_answer_that_came_just_before_the_cancel_stands(self) -> None:
        async def main() -> None:
            async with running() as worker:
                (one,) = worker.read((0, work("a")))
                assert isinstance(one, Job)
                task = worker.answering._running[one]  # noqa: SLF001 - to meet that moment
                mine = task._callbacks[0][0]  # noqa: SLF001 - callbacks run in their order
                task.remove_done_callback(mine)
                task.add_done_callback(lambda _task: worker.cancel("a"))
                task.add_done_callback(mine)
                await until(worker.completions)
                worker.cancel("a")
                await asyncio.sleep(0.05)
                assert statuses(worker) == {"a": "succeeded"}
                worker.check_all_free()

        on_loop(main())

    def test_one_that_would_be_tried_again_or_moved_is_not(self) -> None:
        """The provider's refusal comes in the same moment as the cancel."""

        async def main() -> None:
            for reply in (says.error(429), says.error(401)):
                async with running() as worker:
                    worker.provider.reply = reply
                    (one,) = worker.read((0, work("a")))
                    assert isinstance(one, Job)
                    task = worker.answering._running[one]  # noqa: SLF001 - as above
                    mine = task._callbacks[0][0]  # noqa: SLF001 - as above
                    task.remove_done_callback(mine)
                    task.add_done_callback(lambda _t, w=worker: w.cancel("a"))  # type: ignore[misc]  # bound at once
                    task.add_done_callback(mine)
                    await until(worker.completions)
                    assert statuses(worker) == {"a": "cancelled"}
                    assert not worker.moves()
                    worker.check_all_free()

        on_loop(main())

    def test_a_lost_partition_wins_over_a_cancel(self) -> None:
        async def main() -> None:
            async with running() as worker:
                worker.provider.reply = says.silent()
                worker.read((0, work("a")))
                await until(lambda: worker.provider.served["a"])
                worker.cancel("a")
                worker.lose([0])
                await until(lambda: not worker.answering.running)
                await asyncio.sleep(0.05)
                assert not worker.collector.committed
                worker.check_all_free()

        on_loop(main())

    def test_cancelled_while_the_worker_drains_it_ends_so(self) -> None:
        async def main() -> None:
            async with running() as worker:
                worker.provider.reply = says.silent()
                worker.read((0, work("a")))
                await until(lambda: worker.provider.served["a"])
                draining = asyncio.ensure_future(worker.answering.finish(10.0))
                await asyncio.sleep(0)
                worker.cancel("a")
                assert await draining == 0
                await until(worker.completions)
                assert statuses(worker) == {"a": "cancelled"}

        on_loop(main())


@pytest.mark.parametrize("seed", range(4))
def test_each_job_ends_once_whenever_it_is_cancelled(seed: int) -> None:
    """Cancels at any moment beside failures, retries, moves and full queues."""

    async def main() -> None:
        drawn = random.Random(seed)
        breaker = BreakerRules(least=20, open_s=0.05, open_cap_s=0.1)
        async with running(30, breaker=breaker, slots=8) as worker:
            replies = [
                says.good(),
                says.good(),
                says.silent(0.05),
                says.error(500),
                says.error(429, retry_after_ms="20"),
                says.cut,
            ]
            names = [f"p{n}" for n in range(200)]
            for name in names:
                worker.provider.replies[name] = [drawn.choice(replies), says.good()]
                worker.read((drawn.randrange(PLAN.total), work(name)))
                if drawn.random() < 0.5:
                    worker.cancel(drawn.choice(names))
                if drawn.random() < 0.2:
                    await asyncio.sleep(0.005)
            await until(lambda: len(worker.collector.committed) == len(names), 40)
            await asyncio.sleep(0.05)
            ended = Counter(one.id for one in worker.completions())
            ended.update(one.id for one in worker.moves())
            assert ended == Counter(names)
            assert "cancelled" in statuses(worker).values()
            worker.check_all_free()
            assert not sum(worker.made.dispatcher.waiting_weight[lane] for lane in LANES)

    on_loop(main())
