"""Whose partitions are whose once a member was taken for dead."""

from typing import Any

from confluent_kafka import TopicPartition

from broker.log.progress_book import ProgressBook
from broker.log.units import Unit
from workers.assignment import Assignment, Hooks

TOPIC = "llm.work.somewhere"
OURS = (3, 4, 5)


class Group:
    """A consumer that has committed nothing, and notes of what is told of it."""

    def __init__(self) -> None:
        self.book = ProgressBook()
        self.dropped: list[frozenset[int]] = []
        self.rebalanced: list[tuple[str, int]] = []
        hooks = Hooks(
            arrived=lambda _batch: None,
            dropped=self.dropped.append,
            flush=lambda _deadline_s, _places: True,
            failed=lambda _error: None,
            rebalanced=lambda event, count: self.rebalanced.append((event, count)),
            metadata_unreadable=lambda: None,
        )
        self.assignment = Assignment(TOPIC, self.book, hooks, lambda: None)

    def gives(self, *partitions: int) -> None:
        places = [TopicPartition(TOPIC, partition) for partition in partitions]
        self.assignment.assigned(self, places)

    def read(self) -> list[Unit]:
        """A record of each partition, as it would be committed once it is done."""
        epochs = self.assignment.epochs
        for partition in epochs:
            assert self.book.delivered((TOPIC, partition), 0)
        return [Unit(TOPIC, partition, 0, epoch, ()) for partition, epoch in epochs.items()]

    def committed(self, places: list[TopicPartition], *_: Any, **__: Any) -> list[TopicPartition]:
        return [TopicPartition(place.topic, place.partition, 0) for place in places]

    def incremental_assign(self, _places: list[TopicPartition]) -> None:
        """Nothing is fetched here."""

    resume = incremental_assign


def test_nothing_of_a_member_that_was_taken_for_dead_is_committed_by_the_one_it_became() -> None:
    group = Group()
    group.assignment.told_member("worker-a1")
    group.gives(*OURS)
    units = group.read()
    group.assignment.told_member("worker-a1")
    assert group.book.live(units) == units
    assert not group.assignment.must_rejoin
    group.assignment.told_member("worker-b2")
    assert group.book.live(units) == []
    assert group.assignment.must_rejoin
    assert group.dropped == [frozenset(OURS)]
    assert group.rebalanced[-1] == ("lost", len(OURS))
    assert not group.assignment.epochs


def test_a_member_that_leaves_and_comes_back_is_told_apart_by_its_name_alone() -> None:
    group = Group()
    group.assignment.told_member("worker-a1")
    group.gives(*OURS)
    units = group.read()
    group.assignment.told_member("")  # it is joining: nothing can be committed
    assert group.book.live(units) == units
    group.assignment.told_member("worker-a1")
    assert group.book.live(units) == units
    assert not group.assignment.must_rejoin


def test_a_new_name_with_nothing_in_hand_is_no_loss() -> None:
    group = Group()
    group.assignment.told_member("worker-a1")
    group.gives(*OURS)
    group.assignment.lost(group, [TopicPartition(TOPIC, partition) for partition in OURS])
    group.assignment.told_member("worker-b2")
    assert not group.assignment.must_rejoin
    group.gives(*OURS)
    units = group.read()
    assert group.book.live(units) == units
