"""From batches of records to units of the transactional writer, and what a rebalance does to it.

Everything runs on the app's event loop, except where it says otherwise.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from broker.classifier.assignment import Assigned, BatchLostError, Pending
from broker.classifier.counting import Counting
from broker.classifier.decide import Decider
from broker.classifier.intake import Batch, Position
from broker.classifier.rebuild import Job, Rebuild
from broker.classifier.windows import Remembered, Windows
from broker.log.progress_book import ProgressBook
from broker.log.transactions import TransactionalWriter
from broker.log.units import Unit
from broker.records.incoming import InputRecord
from broker.telemetry.logs import get_logger

SLICE: Final = 64
"""Records decided before the other tasks of the event loop get their turn."""
SLICE_S: Final = 0.010
MOST_PENDING_BYTES: Final = 64 * 1024 * 1024
"""Prompts decided and not committed; large ones pause the reading by this, small ones by count."""
ROOM_POLL_S: Final = 0.25


class Pipeline:
    """The intake of the transport; `Connection.intake`."""

    def __init__(
        self,
        topic: str,
        *,
        decider: Decider,
        writer: TransactionalWriter,
        progress: ProgressBook,
        windows: Windows,
        make_rebuild: Callable[[Mapping[int, Job]], Rebuild],
        counting: Counting,
        before_slice: Callable[[], None],
        on_failed: Callable[[BaseException], None],
        flush_s: float = 3.0,
    ) -> None:
        self._topic = topic
        self._decider = decider
        self._writer = writer
        self._progress = progress
        self._windows = windows
        self._make_rebuild = make_rebuild
        self._counting = counting
        self._before_slice = before_slice
        self._on_failed = on_failed
        self._flush_s = flush_s
        self._assigned: dict[int, Assigned] = {}
        self._leaving: set[int] = set()
        self._rebuild: Rebuild | None = None
        self._room = asyncio.Event()
        self._taking = True
        self.pending = Pending()
        self.fetched = self.decided = self.committed = 0
        self._epoch = 0
        self._in_force = False
        self._log = get_logger(room="classifier")

    @property
    def partitions(self) -> Collection[int]:
        """The partitions that are ours now."""
        return list(self._assigned)

    @property
    def is_assigned(self) -> bool:
        """Whether an assignment is in force; it may be of no partition at all."""
        return self._in_force

    @property
    def not_ready(self) -> int:
        """Partitions whose dedupe window is still being filled."""
        return sum(not one.ready for one in list(self._assigned.values()))

    def on_assigned(self, epoch: int, positions: Mapping[int, Position]) -> None:
        """Begin an assignment: progress from the committed positions, windows up to them."""
        self._halt()
        self._epoch = epoch
        self._in_force = True
        self.pending = Pending()
        self.fetched = self.decided = 0
        self._windows.assign({partition: one.base for partition, one in positions.items()})
        jobs: dict[int, Job] = {}
        for partition, position in positions.items():
            place = (self._topic, partition)
            restored = self._progress.assign(place, epoch, position.base, position.metadata)
            if restored.problem:
                # Nothing past the base counts as done: it is decided again, never left out.
                self._log.warning("metadata_unreadable", partition=partition, why=restored.problem)
            remembered = self._windows.of(partition)
            self._assigned[partition] = Assigned(epoch, remembered)
            jobs[partition] = Job(remembered, position.base, position.first)
        self._counting.rebalanced("assigned", len(jobs))
        self._log.info("assigned", partitions=len(jobs), epoch=epoch)
        self._rebuild = self._make_rebuild(jobs)
        self._rebuild.start()

    def on_window_ready(self, partition: int, remembered: Remembered) -> None:
        """A window knows the log up to the position; records of the partition may come."""
        one = self._assigned.get(partition)
        if one is not None and one.remembered is remembered:
            one.ready = True

    def is_ready(self, partition: int) -> bool:
        """Whether records of the partition may be delivered now."""
        one = self._assigned.get(partition)
        return self._taking and one is not None and one.ready

    def on_revoking(self) -> None:
        """A rebalance begins: decide nothing more; what is decided may still be committed."""
        self._leaving |= set(self._assigned)
        self._halt()

    async def on_revoked(self, *, member: bool) -> None:
        """Commit what is pending, in a bounded time, then let go of every partition.

        `member` is False when the group has already put us out: then nothing can be committed.
        """
        if member and self.pending.units:
            loop = asyncio.get_running_loop()
            done = await loop.run_in_executor(None, self._writer.flush, self._flush_s)
            self._log.info("flushed_on_revoke", in_time=done, left=self.pending.units)
        for partition in self._leaving:
            self._progress.revoke((self._topic, partition))
        if self._leaving:
            self._counting.rebalanced("revoked" if member else "lost", len(self._leaving))
        self._leaving.clear()
        self.pending = Pending()

    def stop_taking(self) -> None:
        """Decide nothing more, for good: the process is about to end."""
        self._taking = False
        self._halt()

    def _halt(self) -> None:
        """Stop the windows' filling and all deciding of the present assignment."""
        if self._rebuild is not None:
            self._rebuild.cancel()
            self._rebuild = None
        for partition, one in self._assigned.items():
            if not one.ready:  # half filled, and its thread may not have noticed yet
                self._windows.forget(partition)
        self._assigned.clear()
        self._in_force = False
        self._room.set()

    def on_fetched(self, records: int) -> None:
        """So many records are on their way to `take`."""
        self.fetched += records

    async def take(self, batch: Batch) -> None:
        """Decide on a batch. Never raises: Faust would go on, and this batch would be lost."""
        try:
            await self._take(batch)
        except Exception as error:  # noqa: BLE001 - whatever it is, no later record may be decided
            self.stop_taking()
            self._on_failed(error)

    async def _take(self, batch: Batch) -> None:
        """Slice by slice, as the writer has room."""
        one = self._assigned.get(batch.partition)
        if one is None or one.epoch != batch.epoch:
            return  # fetched before a rebalance; it is read again by whoever owns it now
        if batch.number != one.batches:
            raise BatchLostError(
                f"Batch {one.batches} of partition {batch.partition} did not arrive.",
                mend="The classifier ends and reads from the committed offset again.",
            )
        one.batches += 1
        at = 0
        while at < len(batch.records):
            room = await self._wait_for_room(one, batch.partition)
            if not room:
                return
            before = at
            at = self._decide_slice(one, batch, at, min(SLICE, room))
            self.decided += at - before
            await asyncio.sleep(0)

    async def _wait_for_room(self, one: Assigned, partition: int) -> int:
        """How many records may be decided now; 0 when the partition is not ours any more."""
        while self._assigned.get(partition) is one:
            room = self._writer.room
            if room > 0 and self.pending.size < MOST_PENDING_BYTES:
                return room
            self._room.clear()
            try:
                await asyncio.wait_for(self._room.wait(), ROOM_POLL_S)
            except TimeoutError:
                continue
        return 0

    def _decide_slice(self, one: Assigned, batch: Batch, at: int, most: int) -> int:
        self._before_slice()
        now, began = time.time(), time.perf_counter()
        end = min(len(batch.records), at + most)
        place = (self._topic, batch.partition)
        window, decide, count = one.remembered.window, self._decider.decide, self._counting.decided
        units: list[Unit] = []
        size = 0
        while at < end:
            given = batch.records[at]
            at += 1
            offset = given.offset
            if not self._progress.delivered(place, offset):
                continue
            record = InputRecord(
                self._topic,
                batch.partition,
                offset,
                given.timestamp / 1000.0 if given.timestamp >= 0 else now,
                given.key,
                given.value,
                given.headers,
            )
            outcome = decide(record, window, now)
            count(outcome)
            units.append(
                Unit(self._topic, batch.partition, offset, one.epoch, outcome.outputs, tag=record)
            )
            size += len(given.value or b"")
            if time.perf_counter() - began > SLICE_S:
                break
        one.remembered.covers = max(one.remembered.covers or 0, batch.records[at - 1].offset + 1)
        self._submit(units, size)
        self._counting.slice_took(time.perf_counter() - began)
        return at

    def _submit(self, units: Sequence[Unit], size: int) -> None:
        if not units:
            return
        self.pending.units += len(units)
        self.pending.size += size
        self._writer.submit(units)

    def on_committed(self, units: Sequence[Unit]) -> None:
        """Make room; called through the loop for what the writer has committed."""
        pending = self.pending
        mine = [unit for unit in units if unit.epoch == self._epoch]
        pending.units = max(0, pending.units - len(mine))
        sizes = (len(unit.tag.value or b"") for unit in mine if isinstance(unit.tag, InputRecord))
        pending.size = max(0, pending.size - sum(sizes))
        self.committed += len(mine)
        self._room.set()
