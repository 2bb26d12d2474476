"""The progress of every assigned partition, shared by the reading and the committing thread.

An *epoch* names one assignment of one partition. A unit that was read under another epoch is stale:
its partition has been taken from us since, and its record belongs to whoever owns it now.
"""

import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from confluent_kafka import TopicPartition

from broker.core.bitmap import WindowFullError
from broker.core.offsets import PartitionProgress, Restored
from broker.log.units import Unit

Partition = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Preview:
    """The offsets a transaction of `units` has to carry; `held` did not fit into its metadata."""

    units: tuple[Unit, ...]
    offsets: tuple[TopicPartition, ...]
    held: tuple[Unit, ...]


@dataclass(slots=True)
class _Assigned:
    epoch: int
    progress: PartitionProgress


class ProgressBook:
    """Thread-safe; every method is quick."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._assigned: dict[Partition, _Assigned] = {}

    def assign(self, tp: Partition, epoch: int, base: int, metadata: str) -> Restored:
        """A partition is ours from its committed `base` on, with what its metadata says is done.

        `Restored.problem` says why metadata could not be read; then nothing past the base is done.
        """
        progress = PartitionProgress(base)
        restored = progress.restore(base, metadata) if metadata else Restored()
        with self._lock:
            self._assigned[tp] = _Assigned(epoch, progress)
        return restored

    def revoke(self, tp: Partition) -> None:
        """The partition is ours no more: units of it are stale from now on."""
        with self._lock:
            self._assigned.pop(tp, None)

    def epoch(self, tp: Partition) -> int | None:
        """The epoch of the present assignment, or None."""
        with self._lock:
            one = self._assigned.get(tp)
            return None if one is None else one.epoch

    def delivered(self, tp: Partition, offset: int) -> bool:
        """Take note of a record; True when it is to be worked on, False when done or in hand."""
        with self._lock:
            one = self._assigned.get(tp)
            return one is not None and one.progress.delivered(offset)

    def passed(self, tp: Partition, position: int) -> None:
        """All below `position` was delivered or will never come."""
        with self._lock:
            one = self._assigned.get(tp)
            if one is not None:
                one.progress.passed(position)

    def wants_pause(self, tp: Partition, *, paused: bool) -> bool:
        """Whether the window of work in hand is too full to read on."""
        with self._lock:
            one = self._assigned.get(tp)
            return one is not None and one.progress.wants_pause(paused=paused)

    def room(self, tp: Partition, offset: int) -> bool:
        """Whether the offset, once done, fits into a commit."""
        with self._lock:
            one = self._assigned.get(tp)
            return one is not None and one.progress.room(offset)

    def live(self, units: Iterable[Unit]) -> list[Unit]:
        """Those units whose assignment still stands and that are not done."""
        with self._lock:
            return [unit for unit in units if self._is_live(unit)]

    def preview(self, units: Sequence[Unit]) -> Preview:
        """What a transaction that finishes these units has to commit; nothing is noted yet."""
        by_partition: defaultdict[Partition, list[Unit]] = defaultdict(list)
        taken: list[Unit] = []
        held: list[Unit] = []
        offsets: list[TopicPartition] = []
        with self._lock:
            for unit in units:
                if self._is_live(unit):
                    by_partition[unit.topic, unit.partition].append(unit)
            for (topic, partition), theirs in by_partition.items():
                progress = self._assigned[topic, partition].progress
                fitting = sorted(theirs, key=lambda unit: unit.offset)
                while fitting:
                    try:
                        base, metadata = progress.preview([unit.offset for unit in fitting])
                    except WindowFullError:
                        # Halved, not one by one: each try encodes the whole window.
                        keep = len(fitting) // 2
                        held.extend(fitting[keep:])
                        del fitting[keep:]
                        continue
                    offsets.append(TopicPartition(topic, partition, base, metadata=metadata))
                    taken.extend(fitting)
                    break
        return Preview(tuple(taken), tuple(offsets), tuple(held))

    def confirm(self, units: Iterable[Unit]) -> None:
        """The transaction that finished these units has been committed."""
        by_partition: defaultdict[Partition, list[int]] = defaultdict(list)
        with self._lock:
            for unit in units:
                if self._is_live(unit):
                    by_partition[unit.topic, unit.partition].append(unit.offset)
            for tp, done in by_partition.items():
                self._assigned[tp].progress.confirm(done)

    def _is_live(self, unit: Unit) -> bool:
        one = self._assigned.get((unit.topic, unit.partition))
        return one is not None and one.epoch == unit.epoch and not one.progress.is_done(unit.offset)


def not_committed(
    units: Iterable[Unit], positions: Mapping[Partition, tuple[int, str]]
) -> tuple[list[Unit], list[Unit]]:
    """Part units into those whose record is not done and those whose record is.

    `positions` are committed offsets with their metadata, as the broker has them now. Unreadable
    metadata mean that nothing past the base is done.
    """
    done: dict[Partition, tuple[int, frozenset[int]]] = {}
    for tp, (base, metadata) in positions.items():
        if base >= 0:
            done[tp] = base, PartitionProgress(base).restore(base, metadata).done
    open_ones: list[Unit] = []
    closed: list[Unit] = []
    for unit in units:
        base, past = done.get((unit.topic, unit.partition), (0, frozenset()))
        ended = unit.offset < base or unit.offset in past
        (closed if ended else open_ones).append(unit)
    return open_ones, closed
