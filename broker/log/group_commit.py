"""One transaction at a time: a group of units becomes records and offsets, all of them or none.

Two transactional producers take turns, so that the next transaction begins while the broker still
writes the markers of the last one. The offsets of the second are asked for only after the first's
commit has returned and was noted.

What the order of the steps protects: the membership is read BEFORE it is checked that every unit is
still ours. Partitions are given up (in the progress book) before the group gets a new generation;
so whoever holds the new generation sees that the units are stale, and whoever holds the old one is
refused by the broker.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from confluent_kafka import KafkaError

from broker.log.committed_offsets import committed_positions
from broker.log.group_fence import FenceSource
from broker.log.progress_book import Preview, ProgressBook, not_committed
from broker.log.transactional_producer import (
    Next,
    TransactionalProducer,
    TransactionError,
)
from broker.log.units import PartitionSet, Unit

PRODUCERS: Final = 2
READ_S: Final = 15.0
_REFUSED: Final = frozenset({"MSG_SIZE_TOO_LARGE", "INVALID_RECORD", "_INCONSISTENT"})
"""What Kafka says of a record that it refuses, or of the transaction with it."""
_AFTER_REFUSED: Final = frozenset({"OUT_OF_ORDER_SEQUENCE_NUMBER", "_STATE"})
"""What is said of the records and offsets that follow one that was refused: its own error may be
hidden by theirs."""

_STEPS_WITH_RECORDS: Final = frozenset({"produce", "send offsets", "commit"})

How = Literal["committed", "stale", "full", "not_joined", "rejoin", "refused", "aborted", "unknown"]


@dataclass(frozen=True, slots=True)
class Ended:
    """How a transaction ended.

    `done` are committed; `again` are still to be done; units in neither are stale, so no longer
    ours. `held` are to be done too, once the base of their partition has moved; `full`: there were
    no others. `refused`: some record of `again` was not taken; try fewer at a time. `unknown`:
    whether `again` are committed has to be found out by `resolve`.
    """

    how: How
    done: Sequence[Unit] = ()
    again: Sequence[Unit] = ()
    held: Sequence[Unit] = ()
    error: TransactionError | None = None
    membership: bytes | None = None
    """The one that was refused, for `rejoin`."""


@dataclass(slots=True)
class _Sticky:
    """The partitions of one transaction: one of each set."""

    turn: int
    chosen: dict[tuple[str, PartitionSet], int] = field(default_factory=dict)

    def place(self, topic: str, wanted: int | PartitionSet) -> int:
        if isinstance(wanted, int):
            return wanted
        key = topic, wanted
        found = self.chosen.get(key)
        if found is None:
            found = self.chosen[key] = wanted.first + self.turn % wanted.count
        return found


class GroupCommit:
    """Commits groups of units of one consumer group. Used by one thread."""

    def __init__(
        self,
        client: Mapping[str, Any],
        *,
        group: str,
        transactional_id: str,
        progress: ProgressBook,
        fence: FenceSource,
    ) -> None:
        self._client = client
        self._group = group
        self._progress = progress
        self._fence = fence
        self._producers = [
            TransactionalProducer(client, f"{transactional_id}-{number}")
            for number in range(PRODUCERS)
        ]
        self._turn = 0

    def open(self) -> None:
        """Take both ids over; what an earlier process left open is ended.

        Raises TransactionError.
        """
        for producer in self._producers:
            producer.open()

    def close(self) -> None:
        """Let go of both producers."""
        for producer in self._producers:
            producer.discard()

    def commit(self, units: Sequence[Unit]) -> Ended:
        """Run one transaction for these units; whatever happens, it is over when this returns."""
        if self._fence.current() is None:
            return Ended("not_joined", again=units)
        preview = self._progress.preview(units)
        if not preview.units:
            return Ended("full" if preview.held else "stale", held=preview.held)
        producer = self._producers[self._turn % PRODUCERS]
        membership: bytes | None = None
        try:
            producer.open()
            producer.begin()
            _produce(producer, preview.units, self._turn)
            membership = self._fence.current()
            still_ours = len(self._progress.live(preview.units)) == len(preview.units)
            if membership is None or not still_ours:
                producer.abort()
                return Ended("stale" if membership else "not_joined", again=units)
            producer.send_offsets(preview.offsets, membership)
            producer.commit()
        except TransactionError as error:
            return self._ended_badly(producer, error, preview, membership)
        self._turn += 1
        self._progress.confirm(preview.units)
        return Ended("committed", preview.units, held=preview.held)

    def is_too_large(self, unit: Unit) -> bool:
        """Whether the broker refuses a record of this unit; found out in a transaction of its own.

        That transaction is aborted. Raises TransactionError when it cannot be found out.
        """
        refused: list[KafkaError] = []
        producer = self._producers[self._turn % PRODUCERS]
        try:
            producer.open()
            producer.begin()
            _produce(producer, (unit,), self._turn, refused.append)
            producer.flush()
        except TransactionError as error:
            if error.next is not Next.SHRINK:
                producer.discard()
                raise
            refused.append(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE))
        try:
            producer.abort()
        except TransactionError:
            producer.discard()
        return any(error.name() in _REFUSED for error in refused)

    def resolve(self, units: Sequence[Unit]) -> Ended:
        """After an unknown outcome: which units are committed.

        Raises TransactionError or WeighbridgeError while it cannot be found out.

        Opening the producer anew ends its old transaction one way or the other; from then on the
        group's stable offsets tell which.
        """
        self.open()
        places = sorted({(unit.topic, unit.partition) for unit in units})
        positions = committed_positions(self._client, self._group, places, READ_S)
        open_ones, done = not_committed(units, positions)
        self._progress.confirm(done)
        return Ended("committed", done, open_ones)

    def _ended_badly(
        self,
        producer: TransactionalProducer,
        error: TransactionError,
        preview: Preview,
        membership: bytes | None,
    ) -> Ended:
        again, held = preview.units, preview.held
        self._turn += 1
        if error.name == "_TIMED_OUT":
            # The broker was away, and what the clients know of it is stale: opening them anew is
            # much quicker than asking them to abort, and ends what is open just as well.
            self.close()
        if error.next is Next.REMAKE:
            producer.discard()
            # Nothing but a commit can have been carried out behind our back.
            how: How = "unknown" if error.step == "commit" else "aborted"
            return Ended(how, again=again, held=held, error=error)
        try:
            producer.abort()
        except TransactionError:
            producer.discard()  # opening it anew aborts; the commit was never asked for
        if error.next is Next.REJOIN:
            return Ended("rejoin", again=again, held=held, error=error, membership=membership)
        refused = error.name in _REFUSED or (
            error.step in _STEPS_WITH_RECORDS and error.name in _AFTER_REFUSED
        )
        how = "refused" if refused else "aborted"
        return Ended(how, again=again, held=held, error=error)


def _produce(
    producer: TransactionalProducer,
    units: Sequence[Unit],
    turn: int,
    on_error: Callable[[KafkaError], None] | None = None,
) -> None:
    sticky = _Sticky(turn)
    for unit in units:
        for output in unit.outputs:
            producer.produce(output, sticky.place(output.topic, output.partition), on_error)
    producer.poll()
