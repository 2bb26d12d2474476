"""What runs next: whatever happens, no job is lost, none starts twice, and the slots are right."""

import gc
from collections import Counter
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from broker.core.lanes import LANES, Lane
from broker.core.slots import SlotRules
from tests.workers.building import PLAN, job, partition_of, work
from workers.dispatch import Dispatcher
from workers.job import Job, JobState

SLOTS = 5
lanes = st.sampled_from(LANES)
tenants = st.sampled_from(("a", "b", "c"))
models = st.sampled_from(("chat-small", "chat-large"))


def a_job(lane: Lane, offset: int, **given: Any) -> Job:
    usual = {"weight": 10, "accepted_at": float(offset)}
    return job(work(str(offset), **usual | given), partition=partition_of(lane), offset=offset)


class DispatcherMachine(RuleBasedStateMachine):
    """The model: each job is in exactly one of these."""

    @initialize()
    def begin(self) -> None:
        self.dispatcher = Dispatcher(SlotRules(SLOTS))
        self.now = 1_000.0
        self.offset = 0
        self.waiting: set[Job] = set()
        self.resting: dict[Job, float] = {}
        self.running: list[Job] = []
        self.ended: set[Job] = set()

    @rule(
        lane=lanes,
        whose=st.tuples(tenants, models),
        after=st.none() | st.floats(0, 100),
        rest=st.none() | st.floats(-1, 10),
        weight=st.integers(0, 99),
    )
    def arrives(
        self,
        lane: Lane,
        whose: tuple[str, str],
        after: float | None,
        rest: float | None,
        weight: int,
    ) -> None:
        self.offset += 1
        new = a_job(
            lane,
            self.offset,
            tenant=whose[0],
            model=whose[1],
            deadline=None if after is None else self.now + after,
            not_before=None if rest is None else self.now + rest,
            weight=weight,
        )
        self.dispatcher.add(new, self.now)
        if rest is not None and self.now + rest > self.now:
            self.resting[new] = self.now + rest
        else:
            self.waiting.add(new)

    @rule(blocked=st.none() | models)
    def starts(self, blocked: str | None) -> None:
        got = self.dispatcher.next_job(lambda one: one.work.model != blocked)
        eligible = [one for one in self.waiting if one.work.model != blocked]
        if got is None:
            # Work conservation: a free slot means that nothing waits which may use it.
            light = sum(each.lane == "light" for each in eligible)
            kept = SlotRules(SLOTS).kept_for_light
            others = sum(each.lane != "light" for each in self.running)
            if len(self.running) < SLOTS:
                assert not light
                assert not eligible or others >= SLOTS - kept
            return
        assert got in eligible
        self.waiting.remove(got)
        self.running.append(got)
        assert len(self.running) <= SLOTS

    @precondition(lambda self: self.running)
    @rule(which=st.integers(0, 99))
    def ends(self, which: int) -> None:
        one = self.running.pop(which % len(self.running))
        self.dispatcher.ended(one)
        one.state = JobState.SETTLED
        self.ended.add(one)

    @precondition(lambda self: self.running)
    @rule(which=st.integers(0, 99), pause=st.floats(0, 10))
    def rests(self, which: int, pause: float) -> None:
        one = self.running.pop(which % len(self.running))
        self.dispatcher.ended(one)
        self.dispatcher.rest(one, self.now + pause)
        self.resting[one] = self.now + pause

    @rule(seconds=st.floats(0, 5))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.dispatcher.wake(self.now)
        for one in [each for each, until in self.resting.items() if until <= self.now]:
            del self.resting[one]
            self.waiting.add(one)

    @rule(most=st.integers(0, 3))
    def deadlines_are_looked_for(self, most: int) -> None:
        due = {
            each
            for each in (*self.waiting, *self.resting)
            if each.work.deadline is not None and each.work.deadline <= self.now
        }
        found = self.dispatcher.take_expired(self.now, most)
        assert len(found) == min(most, len(due))
        assert set(found) <= due
        for one in found:
            self._leaves(one)

    @precondition(lambda self: self.waiting or self.resting)
    @rule(which=st.integers(0, 999))
    def is_moved_while_it_waits(self, which: int) -> None:
        held = sorted((*self.waiting, *self.resting), key=lambda one: one.place.offset)
        one = held[which % len(held)]
        assert self.dispatcher.remove(one)
        assert not self.dispatcher.remove(one)
        self._leaves(one)

    @rule(lane=lanes)
    def a_partition_is_dropped(self, lane: Lane) -> None:
        gone = partition_of(lane)
        dropped = self.dispatcher.drop(lambda one: one.place.partition == gone)
        assert set(dropped) == {one for one in (*self.waiting, *self.resting) if one.lane == lane}
        assert len(set(dropped)) == len(dropped)
        for one in dropped:
            assert one.state is JobState.GONE
            self._leaves(one)

    def _leaves(self, one: Job) -> None:
        self.waiting.discard(one)
        self.resting.pop(one, None)
        self.ended.add(one)

    @invariant()
    def counts_are_right(self) -> None:
        dispatcher = self.dispatcher
        assert dispatcher.waiting == {
            lane: sum(one.lane == lane for one in self.waiting) for lane in LANES
        }
        assert dispatcher.resting == len(self.resting)
        assert dispatcher.running == {
            lane: sum(one.lane == lane for one in self.running) for lane in LANES
        }
        assert dispatcher.in_flight == len(self.running)
        weights: Counter[Lane] = Counter()
        for one in (*self.waiting, *self.resting):
            weights[one.lane] += one.work.weight
        assert dispatcher.waiting_weight == {lane: weights[lane] for lane in LANES}
        assert set(dispatcher.held()) == self.waiting | set(self.resting)
        assert dispatcher.idle == (not self.waiting and not self.resting)
        oldest = dispatcher.oldest_wait(self.now)
        for lane in LANES:
            came = [one.work.accepted_at for one in self.waiting if one.lane == lane]
            assert oldest[lane] <= max((self.now - at for at in came), default=0)
            assert (oldest[lane] > 0) == bool(came)

    @invariant()
    def something_will_wake_it(self) -> None:
        change = self.dispatcher.next_change()
        times = list(self.resting.values())
        held = (*self.waiting, *self.resting)
        times += [one.work.deadline for one in held if one.work.deadline is not None]
        if times:
            assert change is not None
            assert change <= min(times)

    def teardown(self) -> None:
        """Whatever is left can still run, each job once."""
        if not hasattr(self, "dispatcher"):
            return
        for one in self.running:
            self.dispatcher.ended(one)
        self.dispatcher.wake(self.now + 1_000)
        left: list[Job] = []
        while (got := self.dispatcher.next_job()) is not None:
            left.append(got)
            self.dispatcher.ended(got)
        assert len(left) == len(set(left))
        assert set(left) == self.waiting | set(self.resting)


TestDispatcher = DispatcherMachine.TestCase
TestDispatcher.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)


def jobs_alive() -> int:
    gc.collect()
    return sum(type(one) is Job for one in gc.get_objects())


def test_jobs_that_leave_a_lane_which_starts_nothing_are_let_go_of() -> None:
    """An outage: for minutes all that arrives is moved, and nothing ever starts."""
    dispatcher, before = Dispatcher(SlotRules(SLOTS)), jobs_alive()
    for offset in range(5_000):
        one = a_job("heavy", offset)
        dispatcher.add(one, 0.0)
        dispatcher.remove(one)
    assert jobs_alive() - before < 600


def test_resting_jobs_that_expire_are_let_go_of() -> None:
    dispatcher, before = Dispatcher(SlotRules(SLOTS)), jobs_alive()
    for offset in range(3_000):
        dispatcher.add(a_job("light", offset, deadline=float(offset)), 0.0)
        one = dispatcher.next_job()
        assert one is not None
        dispatcher.ended(one)
        dispatcher.rest(one, 1e9)
        assert dispatcher.take_expired(float(offset), 10) == [one]
    assert jobs_alive() - before < 600


def test_jobs_that_ran_are_let_go_of_long_before_their_deadlines() -> None:
    dispatcher, before = Dispatcher(SlotRules(SLOTS)), jobs_alive()
    for offset in range(5_000):
        dispatcher.add(a_job("batch", offset, deadline=1e9), 0.0)
        one = dispatcher.next_job()
        assert one is not None
        dispatcher.ended(one)
        assert not dispatcher.take_expired(0.0, 10)
    assert jobs_alive() - before < 1_000


def test_a_retry_goes_before_what_came_later() -> None:
    dispatcher = Dispatcher(SlotRules(SLOTS))
    first, second = a_job("light", 1), a_job("light", 2)
    dispatcher.add(first, 2.0)
    assert dispatcher.next_job() is first
    dispatcher.ended(first)
    dispatcher.rest(first, 10.0)
    dispatcher.add(second, 10.0)
    dispatcher.wake(9.9)
    assert first.state is JobState.RESTING
    dispatcher.wake(10.0)
    assert (dispatcher.next_job(), dispatcher.next_job()) == (first, second)


def test_equal_jobs_of_a_tenant_are_first_come_first_served() -> None:
    dispatcher = Dispatcher(SlotRules(50))
    jobs = [a_job("light", offset) for offset in range(30)]
    for one in jobs:
        dispatcher.add(one, 100.0)
    assert [dispatcher.next_job() for _ in jobs] == jobs
    assert PLAN.lane_of(jobs[0].place.partition) == "light"


def test_a_job_that_may_not_start_yet_holds_nothing_until_then() -> None:
    dispatcher = Dispatcher(SlotRules(2))
    early, late = a_job("heavy", 1, not_before=30.0), a_job("heavy", 2)
    dispatcher.add(early, 10.0)
    dispatcher.add(late, 10.0)
    assert early.state is JobState.RESTING
    assert dispatcher.next_job() is late
    assert dispatcher.next_change() == 30.0
    assert dispatcher.oldest_wait(29.0)["heavy"] == 0.0
    dispatcher.ended(late)
    dispatcher.wake(29.9)
    assert dispatcher.next_job() is None
    assert dispatcher.wake(30.0) == [early]
    assert dispatcher.next_job() is early


def test_another_share_for_light_counts_for_what_starts_and_outlives_a_resize() -> None:
    dispatcher = Dispatcher(SlotRules(8, light_share=0.25))
    for offset in range(20):
        dispatcher.add(a_job("heavy", offset), 10.0)
    running = []
    while (started := dispatcher.next_job()) is not None:
        running.append(started)
    assert len(running) == 6
    dispatcher.keep_for_light(0.5)
    for one in running[:2]:
        dispatcher.ended(one)
    assert dispatcher.next_job() is None, "four heavy ones run"
    dispatcher.ended(running[2])
    assert dispatcher.next_job() is not None
    dispatcher.resize(16)
    assert [dispatcher.next_job() is not None for _ in range(5)] == [True] * 4 + [False]
