"""Which partitions are ours: what a rebalance gives and takes. Runs on the reading thread only."""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from confluent_kafka import TopicPartition

from broker.core.offsets import Restored
from broker.log.committed_offsets import stable_offsets
from broker.records.errors import WeighbridgeError
from broker.telemetry.logs import get_logger
from workers.job import Arrival

COMMITTED_S: Final = 20.0
"""How long a transaction of a previous owner may keep us from its partitions' offsets."""
REVOKE_FLUSH_S: Final = 3.0
_FLUSH_STEP_S: Final = 0.02

Partition = tuple[str, int]
"""A topic and one of its partitions."""


class Book(Protocol):
    """What of the progress of all partitions the reading thread needs."""

    def assign(self, tp: Partition, epoch: int, base: int, metadata: str) -> Restored:
        """A partition is ours from now on, in this epoch."""

    def delivered(self, tp: Partition, offset: int) -> bool:
        """Take note of a record; True when it is to be worked on."""

    def passed(self, tp: Partition, position: int) -> None:
        """Everything below the position was read or will never come."""

    def wants_pause(self, tp: Partition, *, paused: bool) -> bool:
        """Whether its window of work in hand is nearly full."""

    def revoke(self, tp: Partition) -> None:
        """It is ours no more: what is in hand counts for nothing."""


@dataclass(frozen=True, slots=True)
class Hooks:
    """What the reading thread tells others, each called on that thread and quick."""

    arrived: Callable[[list[Arrival]], None]
    dropped: Callable[[frozenset[int]], None]
    flush: Callable[[float, Collection[Partition]], bool]
    """Commit what is done of these partitions within so many seconds; False: not yet."""
    failed: Callable[[WeighbridgeError], None]
    rebalanced: Callable[[str, int], None]
    metadata_unreadable: Callable[[], None]


class Assignment:
    """Our partitions, and the consumer's callbacks that change them.

    `epochs` names the assignment that each partition came with, `starts` the offset it is read
    from; whoever pauses a partition keeps note of it in `paused`. While `must_rejoin`, the consumer
    has to leave its group and join it again.
    """

    def __init__(
        self, topic: str, book: Book, hooks: Hooks, refresh_fence: Callable[[], None]
    ) -> None:
        self._topic = topic
        self._book = book
        self._hooks = hooks
        self._refresh_fence = refresh_fence
        self._log = get_logger(topic=topic)
        self.epoch = 0
        self.epochs: dict[int, int] = {}
        self.starts: dict[int, int] = {}
        self.paused: set[int] = set()
        self.must_rejoin = False
        self._member = ""

    def told_member(self, member: str) -> None:
        """What the consumer is called in its group now; empty while it has not joined.

        A member that was taken for dead, and did not hear of it, joins again under another name.
        Others may have had its partitions meanwhile and have them still. librdkafka tells nobody,
        claims what it had, and is given that: so nothing of it may be committed as the new member,
        and the claim has to be taken back before it is read again.
        """
        if not member:
            return
        if self._member not in {"", member} and self.epochs:
            had = [TopicPartition(self._topic, partition) for partition in sorted(self.epochs)]
            self._lose(had, why="taken for dead meanwhile")
            self.must_rejoin = True
        self._member = member

    def assigned(self, consumer: Any, given: list[TopicPartition]) -> None:
        """`on_assign`: read each from its committed base on, in a new epoch."""
        self._refresh_fence()  # what we had before may be lost
        self.epoch += 1
        starts = []
        if given:
            found = stable_offsets(
                consumer,
                [TopicPartition(self._topic, tp.partition) for tp in given],
                COMMITTED_S,
            )
            for place in found:
                base = max(place.offset, 0)
                restored = self._book.assign(
                    (self._topic, place.partition), self.epoch, base, place.metadata or ""
                )
                self.epochs[place.partition] = self.epoch
                self.starts[place.partition] = base
                self.paused.discard(place.partition)
                if restored.problem is not None:
                    self._hooks.metadata_unreadable()
                    self._log.warning(
                        "commit_metadata_unreadable",
                        partition=place.partition,
                        base=base,
                        why=restored.problem,
                        then="its work past the base is done again",
                    )
                starts.append(TopicPartition(self._topic, place.partition, base))
        consumer.incremental_assign(starts)
        if starts:
            # A partition that was paused when it was taken from us would come back paused.
            consumer.resume(starts)
        self._refresh_fence()
        self._hooks.rebalanced("assigned", len(given))
        self._log.info("assigned", partitions=[tp.partition for tp in given], epoch=self.epoch)

    def revoked(self, consumer: Any, taken: list[TopicPartition]) -> None:
        """`on_revoke`: commit what is done, within a bounded time, then let go."""
        ends = time.monotonic() + REVOKE_FLUSH_S
        places = [(self._topic, tp.partition) for tp in taken]
        # The committer may be waiting for the new generation, which only this thread can read.
        while not self._hooks.flush(_FLUSH_STEP_S, places) and time.monotonic() < ends:
            self._refresh_fence()
        self._forget(taken)
        self._hooks.rebalanced("revoked", len(taken))
        self._log.info("revoked", partitions=[tp.partition for tp in taken])
        del consumer  # the client takes them from the assignment itself

    def lost(self, consumer: Any, taken: list[TopicPartition]) -> None:
        """`on_lost`: others have them already, so that nothing of theirs can be committed."""
        self._lose(taken)
        del consumer

    def _lose(self, taken: Sequence[TopicPartition], **why: str) -> None:
        self._forget(taken)
        self._hooks.rebalanced("lost", len(taken))
        self._log.warning("lost", partitions=[tp.partition for tp in taken], **why)

    def _forget(self, taken: Sequence[TopicPartition]) -> None:
        for tp in taken:
            self._book.revoke((self._topic, tp.partition))
            self.epochs.pop(tp.partition, None)
            self.starts.pop(tp.partition, None)
            self.paused.discard(tp.partition)
        if taken:
            self._hooks.dropped(frozenset(tp.partition for tp in taken))
