"""Progress of one partition. The bugs that others had are tests by name."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from broker.core.bitmap import CAPACITY, WindowFullError, encode
from broker.core.offsets import PAUSE_AT, RESUME_AT, NotDeliveredError, PartitionProgress


def successor_of(progress: PartitionProgress) -> PartitionProgress:
    """Whoever is assigned the partition after a commit of what is done now."""
    base, metadata = progress.commit()
    successor = PartitionProgress(0)
    assert successor.restore(base, metadata).problem is None
    return successor


def test_the_highest_offset_seen_is_never_committed() -> None:
    """parallel-consumer #826: on revoke the highest SEEN offset was committed; work was lost."""
    progress = PartitionProgress(10)
    for offset in range(10, 20):
        progress.delivered(offset)
    progress.done(19)
    assert progress.commit()[0] == 10
    successor = successor_of(progress)
    assert [o for o in range(10, 20) if successor.delivered(o)] == list(range(10, 19))


def test_no_record_is_skipped_silently() -> None:
    """parallel-consumer #875: a record was skipped without a word."""
    progress = PartitionProgress(0)
    for offset in (0, 1, 2, 3):
        assert progress.delivered(offset)
    progress.done(0)
    progress.done(2)
    successor = successor_of(progress)
    assert [successor.delivered(offset) for offset in (1, 2, 3)] == [True, False, True]
    assert successor.delivered(4)


@pytest.mark.parametrize("metadata", ["nonsense", "wb1b6AAAA", "wb2", encode(6, 0b110), "é" * 9])
def test_undecodable_metadata_means_not_done(metadata: str) -> None:
    """astubbs/parallel-consumer #183: undecodable metadata made a record disappear."""
    progress = PartitionProgress(0)
    restored = progress.restore(5, metadata)
    assert restored.problem
    assert restored.done == frozenset()
    assert all(progress.delivered(offset) for offset in range(5, 12))


def test_metadata_of_a_plain_commit_is_no_problem() -> None:
    restored = PartitionProgress(0).restore(5, "")
    assert restored.problem is None
    assert restored.done == frozenset()


def test_gaps_are_done_once_a_later_record_arrives() -> None:
    progress = PartitionProgress(0)
    assert progress.delivered(0)
    assert progress.delivered(5)
    progress.done(0)
    assert progress.base == 5
    assert all(progress.is_done(offset) for offset in range(5))
    assert not progress.is_done(5)


def test_a_marker_at_the_end_is_done_once_passed() -> None:
    progress = PartitionProgress(0)
    progress.delivered(0)
    progress.passed(2)
    assert progress.base == 0
    progress.done(0)
    assert progress.commit() == (2, "")


def test_passed_never_marks_what_is_in_hand() -> None:
    progress = PartitionProgress(0)
    for offset in range(4):
        progress.delivered(offset)
    progress.passed(4)
    progress.passed(3)
    assert progress.base == 0
    assert progress.commit() == (0, "")


def test_a_gap_of_a_billion_costs_nothing_when_nothing_is_in_hand() -> None:
    progress = PartitionProgress(0)
    progress.delivered(0)
    progress.done(0)
    progress.delivered(1_000_000_000)
    assert progress.base == 1_000_000_000
    assert progress.window < 0.001


def test_a_wide_gap_over_work_in_hand_is_told_by_runs() -> None:
    progress = PartitionProgress(0)
    progress.delivered(0)
    progress.delivered(1_000_000)
    assert progress.window > 1
    assert not progress.room(1_000_000)
    assert successor_of(progress).delivered(999_999) is False


def test_a_record_delivered_again_is_not_worked_on_twice() -> None:
    progress = PartitionProgress(3)
    assert progress.delivered(3)
    assert not progress.delivered(3)
    progress.done(3)
    assert not progress.delivered(3)


def test_done_before_delivered_is_refused_and_changes_nothing() -> None:
    progress = PartitionProgress(3)
    progress.delivered(3)
    with pytest.raises(NotDeliveredError):
        progress.done(4)
    with pytest.raises(NotDeliveredError):
        progress.preview([3, 4])
    assert progress.commit() == (3, "")


def test_a_preview_that_is_rolled_back_leaves_no_trace() -> None:
    progress = PartitionProgress(0)
    for offset in range(6):
        progress.delivered(offset)
    progress.done(3)
    before = progress.commit()
    assert progress.preview([0, 1])[0] == 2
    assert progress.preview([5]) == (0, encode(0, 0b101000))
    assert progress.commit() == before
    progress.confirm([0, 1])
    assert progress.commit() == (2, encode(2, 0b10))


def test_a_full_window_pauses_and_resumes_lower() -> None:
    progress = PartitionProgress(0)
    for offset in range(int(CAPACITY * PAUSE_AT)):
        progress.delivered(offset)
        assert progress.window < PAUSE_AT or progress.wants_pause(paused=False)
    progress.delivered(int(CAPACITY * PAUSE_AT))
    assert progress.wants_pause(paused=False)
    progress.confirm(range(1000))
    assert not progress.wants_pause(paused=False)
    assert progress.wants_pause(paused=True)
    progress.confirm(range(int(CAPACITY * (PAUSE_AT - RESUME_AT)) + 2))
    assert not progress.wants_pause(paused=True)


def test_every_done_offset_with_room_can_be_committed() -> None:
    progress = PartitionProgress(0)
    for offset in range(CAPACITY):
        progress.delivered(offset)
    assert progress.room(CAPACITY - 1)
    assert not progress.room(CAPACITY)
    progress.confirm(range(1, CAPACITY, 2))
    base, metadata = progress.commit()
    assert base == 0
    assert metadata


def test_a_window_that_is_too_full_is_told_and_not_cut() -> None:
    progress = PartitionProgress(0)
    for offset in range(3 * CAPACITY):
        progress.delivered(offset)
    scattered = random.Random(1).sample(range(1, 3 * CAPACITY), CAPACITY)
    with pytest.raises(WindowFullError):
        progress.preview(scattered)
    assert progress.commit() == (0, "")


def test_restoring_gives_the_set_that_is_done_past_the_base() -> None:
    restored = PartitionProgress(0).restore(13, encode(13, 0b1011000))
    assert restored.done == {16, 17, 19}


class AgainstASet(RuleBasedStateMachine):
    """PartitionProgress against sets, over delivery, gaps, completion, passing and restarts."""

    def __init__(self) -> None:
        super().__init__()
        self.progress = PartitionProgress(0)
        self.position = 0
        self.in_hand: set[int] = set()
        self.finished: set[int] = set()

    @rule(gap=st.sampled_from([0, 0, 0, 1, 2, 9, 70, 5000]))
    def deliver(self, gap: int) -> None:
        offset = self.position + gap
        expected = offset not in self.finished
        assert self.progress.delivered(offset) is expected
        self.finished.update(range(self.position, offset))
        if expected:
            self.in_hand.add(offset)
        self.position = offset + 1

    @rule(by=st.sampled_from([0, 1, 3, 40]))
    def pass_by(self, by: int) -> None:
        self.progress.passed(self.position + by)
        self.finished.update(range(self.position, self.position + by))
        self.position += by

    @precondition(lambda self: self.in_hand)
    @rule(data=st.data())
    def complete(self, data: st.DataObject) -> None:
        done = data.draw(st.sets(st.sampled_from(sorted(self.in_hand)), min_size=1))
        previewed = self.progress.preview(done)
        self.progress.confirm(done)
        assert self.progress.commit() == previewed
        self.in_hand -= done
        self.finished |= done

    @rule()
    def restart(self) -> None:
        base, metadata = self.progress.commit()
        restored = self.progress.restore(base, metadata)
        assert restored.problem is None
        assert restored.done == {offset for offset in self.finished if offset > base}
        self.in_hand.clear()
        self.position = base

    @invariant()
    def the_base_is_the_lowest_not_done(self) -> None:
        lowest = 0
        while lowest in self.finished:
            lowest += 1
        self.position = max(self.position, lowest)
        assert self.progress.base == lowest
        assert self.progress.position == self.position

    @invariant()
    def it_knows_what_is_done(self) -> None:
        near = range(max(0, self.progress.base - 3), self.progress.base + 200)
        assert [self.progress.is_done(o) for o in near] == [o in self.finished for o in near]


TestAgainstASet = AgainstASet.TestCase


@given(st.permutations(range(200)), st.integers(0, 2**40))
def test_whatever_the_order_all_done_leaves_nothing(order: list[int], base: int) -> None:
    progress = PartitionProgress(base)
    for offset in range(200):
        progress.delivered(base + offset)
    for offset in order:
        assert not progress.is_done(base + offset)
        progress.done(base + offset)
    assert progress.commit() == (base + 200, "")


def test_a_place_before_the_beginning_is_refused() -> None:
    with pytest.raises(ValueError, match="not a place"):
        PartitionProgress(-1)
