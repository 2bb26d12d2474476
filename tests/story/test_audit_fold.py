"""The audit's fold against an oracle: what is put into a history is found, exactly."""

import random
import tracemalloc
from dataclasses import dataclass
from math import inf

from hypothesis import given, settings
from hypothesis import strategies as st

from broker.core.dedupe import home_partition
from broker.core.lanes import LANES
from broker.records.calls import encode_call
from broker.records.completion import encode_completion
from broker.records.work import encode_work
from broker.story.asked import Asked
from broker.story.audit import Audit, Figures
from broker.story.lines import call_line, completion_line, work_line
from tests.story.seeding import call_of, completion_of, step, work_of

PARTITIONS = 6
WINDOW_S = 3_600.0
GRACE_S = 60.0
BEGAN = 1_700_000_000.0
NOW = BEGAN + 20_000.0
AGAIN_S = 7_200.0
"""After the window."""
COUNTS = (
    *("accepted", "duplicate_inputs", "completed", "pending", "duplicates", "calls"),
    *("repeated_calls", "moves"),
)


@dataclass(frozen=True)
class Fate:
    """What happens to one id. `missing` and `extra`: completions too few and too many."""

    at: int
    asked: int
    sent_again: int
    away: bool
    missing: int
    extra: int
    work_left: bool
    deadline: str
    young: bool
    repeats: int
    moves: int


fates = st.builds(
    Fate,
    at=st.integers(0, 3_000),
    asked=st.integers(1, 2),
    sent_again=st.integers(0, 3),
    away=st.booleans(),
    missing=st.sampled_from((0, 0, 0, 1)),
    extra=st.sampled_from((0, 0, 0, 1, 2)),
    work_left=st.sampled_from((False, False, True)),
    deadline=st.sampled_from(("none", "none", "passed", "ahead")),
    young=st.sampled_from((False, False, True)),
    repeats=st.integers(0, 2),
    moves=st.integers(0, 2),
)


class History:
    """Records made of fates, shuffled as topics may hold them, and what an audit has to find."""

    def __init__(self, chosen: list[Fate], seed: int) -> None:
        self.audit = Audit(partitions=PARTITIONS, window_s=WINDOW_S)
        self.lost: set[str] = set()
        self.doubled: set[str] = set()
        self.counts = dict.fromkeys(COUNTS, 0)
        self._prompts: list[tuple[float, int, Asked]] = []
        self._completions: list[tuple[str, float]] = []
        self._works: list[tuple[str, float, int, bool]] = []
        self._calls: list[tuple[str, int]] = []
        for number, fate in enumerate(chosen):
            self._add(f"id-{number}", fate)
        chance = random.Random(seed)
        self._prompts.sort(key=lambda one: one[0])
        for later in (self._completions, self._works, self._calls):
            chance.shuffle(later)

    def _add(self, name: str, fate: Fate) -> None:
        began = NOW - GRACE_S / 2 if fate.young else BEGAN + fate.at
        asked = 1 if fate.young else fate.asked
        home = home_partition(name, PARTITIONS)
        last = began
        for turn in range(asked):
            last = at = began + turn * AGAIN_S
            ends = {"none": None, "passed": at + 10, "ahead": NOW + 100}[fate.deadline]
            for number in range(1 + fate.sent_again):
                moment = at + number * 0.001
                origin = f"{(home + 1) % PARTITIONS}-{number}" if fate.away else None
                if fate.away:
                    elsewhere = Asked(name, True, moment, ends)
                    self._prompts.append((moment, (home + 1) % PARTITIONS, elsewhere))
                copy = Asked(name, True, moment, ends, origin)
                self._prompts.append((moment + (0.0005 if fate.away else 0), home, copy))
        missing = fate.missing
        completions = asked - missing + (0 if missing else fate.extra)
        accepted = [began + (turn % asked) * AGAIN_S for turn in range(completions)]
        self._completions += [(name, at) for at in accepted]
        for moves in range(fate.moves + 1):
            left = fate.work_left and missing > 0 and moves == fate.moves
            self._works.append((name, last, moves, not left))
        for repeat in range(fate.repeats + 1):
            self._calls += [(name, 1)] * (asked if not repeat else 1)
        self._expect(name, fate, asked)

    def _expect(self, name: str, fate: Fate, asked: int) -> None:
        counts = self.counts
        counts["accepted"] += 1
        counts["duplicate_inputs"] += asked * fate.sent_again
        counts["calls"] += asked + fate.repeats
        counts["repeated_calls"] += fate.repeats
        counts["moves"] += fate.moves
        if not fate.missing:
            counts["completed"] += 1
            counts["duplicates"] += fate.extra
            if fate.extra:
                self.doubled.add(name)
            return
        ripe = {"none": not fate.young, "passed": True, "ahead": False}[fate.deadline]
        if fate.work_left or not ripe:
            counts["pending"] += 1
        else:
            self.lost.add(name)

    def figures(self) -> Figures:
        for at, partition, one in self._prompts:
            self.audit.prompt(one, partition, at)
        for name, at in self._completions:
            self.audit.completion(completion_line(encode_completion(completion_of(name, at))))
        for name, at, moves, done in self._works:
            route = tuple(step("azure") for _ in range(moves + 1))
            work = work_line(encode_work(work_of(name, at, *route)))
            self.audit.work(work, done=done)
        for name, attempt in self._calls:
            self.audit.call(call_line(encode_call(call_of(name, attempt, BEGAN))))
        return self.audit.figures(NOW, GRACE_S)

    def rows(self, names: set[str]) -> set[int]:
        return {self.audit.ledger.find(name) for name in names}


@settings(deadline=None, max_examples=200)
@given(chosen=st.lists(fates, max_size=25), seed=st.integers(0, 1_000))
def test_every_loss_and_double_that_is_put_in_is_found(chosen: list[Fate], seed: int) -> None:
    history = History(chosen, seed)
    found = history.figures()
    assert found.lost_rows == history.rows(history.lost)
    assert found.doubled_rows == history.rows(history.doubled)
    assert found.counts["lost"] == len(history.lost)
    assert {name: found.counts[name] for name in history.counts} == history.counts
    assert found.sound == (not history.lost and not history.doubled)
    assert history.audit.unknown == 0


@settings(deadline=None, max_examples=100)
@given(
    times=st.lists(st.integers(0, 20_000), min_size=1, max_size=30),
    since=st.integers(0, 20_000),
    length=st.integers(1, 20_000),
)
def test_a_time_range_counts_what_was_accepted_in_it(
    times: list[int], since: int, length: int
) -> None:
    audit = Audit(
        partitions=1, window_s=WINDOW_S, since=BEGAN + since, until=BEGAN + since + length
    )
    seen = -inf
    expected = {"new": 0, "again": 0}
    for at in sorted(times):
        audit.prompt(Asked("one", True, BEGAN + at), 0, BEGAN + at)
        if since <= at < since + length:
            expected["again" if at - seen <= WINDOW_S else "new"] += 1
        seen = at
    for _ in range(expected["new"]):
        audit.completion(completion_line(encode_completion(completion_of("one", BEGAN + since))))
    found = audit.figures(NOW * 2, GRACE_S).counts
    assert found["duplicate_inputs"] == expected["again"]
    assert found["accepted"] == found["completed"] == min(1, expected["new"])
    assert found["lost"] == found["duplicates"] == 0


def test_completions_of_prompts_that_are_gone_are_told_apart() -> None:
    audit = Audit(partitions=1, window_s=WINDOW_S)
    audit.completion(completion_line(encode_completion(completion_of("gone", BEGAN))))
    found = audit.figures(NOW, GRACE_S)
    assert (audit.unknown, found.counts["accepted"], found.sound) == (1, 0, True)


def test_a_million_prompts_stay_under_500_mb() -> None:
    """Measured on 50,000; the interpreter, the client and its queue take the other 100 MB."""
    count, most = 50_000, 400 * 1024 * 1024
    work = work_line(encode_work(work_of("x", BEGAN, step("azure"))))
    started = call_line(encode_call(call_of("x", 1, BEGAN)))
    completed = completion_line(encode_completion(completion_of("x", BEGAN)))
    tracemalloc.start()
    try:
        audit = Audit(partitions=PARTITIONS, window_s=WINDOW_S)
        for number in range(count):
            name = f"00000000-0000-0000-0000-{number:012d}"
            one = Asked(name, True, BEGAN + number)
            audit.prompt(one, home_partition(name, PARTITIONS), BEGAN + number)
            work.id = started.id = completed.id = name
            audit.completion(completed)
            audit.work(work, done=True)
            audit.call(started)
        found = audit.figures(BEGAN + 10 * count, GRACE_S)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (found.counts["accepted"], found.sound) == (count, True)
    assert set(found.counts["lanes"]) <= set(LANES)
    assert peak * (1_000_000 / count) < most, f"{peak / count:.0f} bytes a prompt"
