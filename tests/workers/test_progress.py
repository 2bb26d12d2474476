"""What a worker says of the place and times of its prompts, and how it learns from what came."""

import asyncio
import time
from itertools import pairwise
from typing import Any

from broker.core.breaker import BreakerRules
from broker.records.progress import ProgressRecord
from tests.workers import local_provider as says
from tests.workers.building import on_loop, partition_of, until, work
from tests.workers.test_answering import Running, running
from workers.progress import MOST_A_LOOK, Given, Progress
from workers.words import AGAIN_S

HEAVY: dict[str, Any] = {"weight": 9_000, "expected_output_tokens": 2_000}


class Told:
    """A worker's progress and what it has said."""

    def __init__(self, worker: Running) -> None:
        self.records: list[ProgressRecord] = []
        made = worker.made
        given = Given("azure", "azure-0", made.dispatcher, made.attempts)
        self.progress = Progress(given, self.records.append)

    def look(self, after_s: float = 0.0) -> dict[str, ProgressRecord]:
        """What is said now, by id; each id once."""
        self.records.clear()
        self.progress.look(time.time() + after_s)
        found = {one.id: one for one in self.records}
        assert len(found) == len(self.records)
        return found


def test_what_waits_is_told_its_place_and_times_and_what_runs_its_end() -> None:
    async def main() -> None:
        async with running(slots=1) as worker:
            told = Told(worker)
            worker.provider.reply = says.silent()
            worker.read(
                (0, work("first", expected_output_tokens=100)),
                *((0, work(f"p{n}", tenant="acme", weight=500)) for n in range(5)),
            )
            await until(lambda: worker.provider.served["first"])
            found = told.look()
            assert set(found) == {"first", *(f"p{n}" for n in range(5))}
            first = found.pop("first")
            assert (first.state, first.place, first.provider) == ("running", 0, "azure")
            assert first.starts_at[0] == first.starts_at[1] <= first.at
            assert first.ends_at[1] > first.ends_at[0] >= first.at
            waiting = [found[f"p{n}"] for n in range(5)]
            assert [one.place for one in waiting] == list(range(5))
            assert {(one.state, one.lane, one.tenant) for one in waiting} == {
                ("waiting", "light", "acme")
            }
            for one, later in pairwise(waiting):
                assert one.starts_at[0] <= one.starts_at[1] <= one.ends_at[1]
                assert one.starts_at[0] <= one.ends_at[0]
                assert one.starts_at[1] < later.starts_at[1]
            assert told.look() == {}

    on_loop(main())


def test_what_is_done_in_a_moment_is_not_worth_a_word() -> None:
    async def main() -> None:
        async with running(slots=4) as worker:
            told = Told(worker)
            worker.provider.reply = says.silent(0.02)
            worker.read(*((0, work(f"p{n}", expected_output_tokens=1)) for n in range(40)))
            await until(lambda: len(worker.completions()) == 40)
            worker.read(*((0, work(f"q{n}", expected_output_tokens=1)) for n in range(4)))
            assert told.look() == {}

    on_loop(main())


def test_it_is_told_again_when_it_changed_or_is_old_and_when_its_call_begins() -> None:
    async def main() -> None:
        async with running(slots=1) as worker:
            told = Told(worker)
            worker.provider.replies["first"] = [says.silent(0.3)]
            worker.provider.reply = says.silent()
            worker.read((0, work("first", **HEAVY)), (0, work("a", **HEAVY)))
            await until(lambda: worker.provider.served["first"])
            assert set(told.look()) == {"first", "a"}
            assert told.look(1.0) == {}
            assert set(told.look(AGAIN_S + 1)) >= {"a"}
            await until(lambda: worker.provider.served["a"])
            found = told.look()
            assert found["a"].state == "running"
            assert "first" not in found

    on_loop(main())


def test_ranges_follow_what_came_true() -> None:
    async def main() -> None:
        async with running(slots=2) as worker:
            told = Told(worker)
            worker.provider.reply = says.silent(0.25)
            ranges = told.progress.words.ranges
            before = ranges.of("call", "light", 8.0)
            # It expects ten seconds of each, before it has seen what they take.
            worker.read(*((0, work(f"p{n}", expected_output_tokens=400)) for n in range(2)))
            await until(lambda: worker.answering.running == 2)
            await until(lambda: len(told.look()) == 2)
            await until(lambda: len(worker.completions()) == 2)
            told.look()
            after = ranges.of("call", "light", 8.0)
            assert after[0] < before[0]
            assert not told.progress.words

    on_loop(main())


def test_what_is_cancelled_lost_or_moved_is_forgotten_and_teaches_nothing() -> None:
    async def main() -> None:
        async with running(slots=1) as worker:
            told = Told(worker)
            worker.provider.reply = says.silent()
            worker.read(*((n % 2, work(f"p{n}", **HEAVY)) for n in range(4)))
            await until(lambda: worker.provider.asked)
            assert len(told.look()) == 4
            worker.cancel("p0", "p2")
            worker.lose([1])
            await until(lambda: not worker.answering.running)
            told.look()
            assert not told.progress.words
            assert not told.progress.words.ranges._spreads.get(("end", "light", 5))  # noqa: SLF001 - what it learned

    on_loop(main())


def test_no_look_says_more_than_so_many_and_each_lane_has_its_part() -> None:
    async def main() -> None:
        async with running(slots=4) as worker:
            told = Told(worker)
            worker.provider.reply = says.silent()
            worker.read(*((0, work(f"l{n}", **HEAVY)) for n in range(400)))
            worker.read(*((partition_of("batch"), work(f"b{n}", **HEAVY)) for n in range(400)))
            await until(lambda: len(worker.provider.asked) == 4)
            seen: set[str] = set()
            for look in range(20):
                found = told.look(look * 0.25)
                assert len(found) <= MOST_A_LOOK
                assert seen or {"light", "batch"} <= {one.lane for one in found.values()}
                assert not seen & set(found)
                seen |= set(found)
            assert len(seen) == 800

    on_loop(main())


def test_while_the_breaker_is_open_nothing_starts_before_it_is_tried_again() -> None:
    async def main() -> None:
        breaker = BreakerRules(in_a_row=1, open_s=30.0, open_cap_s=30.0)
        async with running(breaker=breaker, slots=1) as worker:
            told = Told(worker)
            everywhere = ("google", "coreweave", "azure")
            worker.provider.reply = says.error(500)
            worker.read((0, work("x", route=everywhere)))
            await until(lambda: worker.made.breaker.state(time.time()) == "open")
            worker.read((0, work("a", route=everywhere)))
            found = told.look()
            # The least factor of the range that stands before anything is known.
            assert found["a"].starts_at[1] > time.time() + 20
            await asyncio.sleep(0)

    on_loop(main())


def test_what_is_moved_is_told_so_at_once_and_what_was_said_of_it_teaches_the_range() -> None:
    async def main() -> None:
        breaker = BreakerRules(in_a_row=1, open_s=30.0, open_cap_s=30.0)
        async with running(breaker=breaker, slots=1) as worker:
            told = Told(worker)
            gate = asyncio.Event()
            worker.provider.replies["first"] = [says.held(gate, says.error(503))]
            worker.read(
                (0, work("first", **HEAVY)), *((0, work(f"p{n}", **HEAVY)) for n in range(3))
            )
            await until(lambda: worker.provider.served["first"])
            told.look()
            told.records.clear()
            gate.set()
            await until(lambda: len(worker.moves()) == 4)
            found = {one.id: one for one in told.records}
            assert {"p0", "p1", "p2"} <= set(found)
            for one in found.values():
                assert (one.state, one.worker, one.place) == ("waiting", "", None)
                assert one.provider != "azure"
                assert one.ends_at[0] < one.ends_at[1]
            assert not told.progress.words

    on_loop(main())


def test_what_comes_from_another_provider_is_spoken_of_however_short_it_is() -> None:
    async def main() -> None:
        async with running(slots=1) as worker:
            told = Told(worker)
            worker.provider.reply = says.silent(0.01)
            worker.read(*((0, work(f"p{n}", expected_output_tokens=1)) for n in range(30)))
            await until(lambda: len(worker.completions()) == 30)
            worker.provider.reply = says.silent()
            moved = work("moved", expected_output_tokens=1, route=("google", "azure"))
            worker.read((0, moved), (0, work("own", expected_output_tokens=1)))
            await until(lambda: len(worker.provider.asked) == 31)
            assert "moved" in told.look()

    on_loop(main())


def test_what_may_not_start_yet_is_told_from_when_on_it_may() -> None:
    async def main() -> None:
        async with running(slots=1) as worker:
            told = Told(worker)
            later = time.time() + 30.0
            worker.read((0, work("held", not_before=later)))
            await until(lambda: worker.made.dispatcher.resting == 1)
            found = told.look()["held"]
            assert (found.state, found.place) == ("waiting", None)
            assert later <= found.starts_at[0] <= found.starts_at[1]
            assert later <= found.ends_at[0] <= found.ends_at[1]
            assert told.look() == {}

    on_loop(main())


def test_no_range_goes_past_the_deadline_that_ends_what_has_not_begun() -> None:
    async def main() -> None:
        async with running(slots=1) as worker:
            told = Told(worker)
            worker.provider.reply = says.silent()
            deadline = time.time() + 20.0
            worker.read(*((0, work(f"p{n}", **HEAVY, deadline=deadline)) for n in range(4)))
            await until(lambda: worker.provider.asked)
            found = told.look()
            assert found
            assert all(one.ends_at[1] <= deadline + 1.0 for one in found.values())

    on_loop(main())
