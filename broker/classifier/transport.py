"""Faust's aiokafka transport with the rules of an exactly-once reader.

- Faust commits nothing: the offsets travel in the writer's transactions.
- Reading is read-committed, from positions that are stable (`stable_offsets`).
- An event of the stream is not a record but all records that one fetch brought of one partition,
  so that Faust's cost for an event is paid once for hundreds of prompts.
- No record can stop its partition (`record_batches`).
"""

import logging
from typing import Any, Final

import uvloop
from faust.transport.drivers import TRANSPORTS
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage
from mode import Service

from broker.classifier.consumer_thread import ConsumerThread
from broker.classifier.intake import Batch, Position
from broker.classifier.record_batches import use_forgiving_records
from broker.classifier.stable_offsets import Start

SCHEME: Final = "weighbridge"
GETMANY_S: Final = 0.5
NOT_ALL_READY_S: Final = 0.05
"""Wait for records while some partition is not ready yet: it should not wait for the others."""


class Consumer(driver.Consumer):  # type: ignore[misc] # Faust is untyped
    """Delivers batches, stamped with the epoch of their assignment, and never commits."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.epoch = 0
        self._numbers: dict[int, int] = {}

    def _new_consumer_thread(self) -> ConsumerThread:
        # Half of a classifier's time goes into this thread; uvloop makes a third of it less.
        thread = ConsumerThread(
            self, loop=self.loop, beacon=self.beacon, thread_loop=uvloop.new_event_loop()
        )
        thread._close_thread_loop_on_stop = True  # noqa: SLF001 - mode closes only loops that it made
        return thread

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """A rebalance begins: whatever is being fetched now is of no use any more."""
        self.epoch += 1
        intake = self.app.connection.intake
        intake.on_revoking()
        await super().on_partitions_revoked(revoked)
        generation, member_id = self._thread.membership()
        await intake.on_revoked(member=generation >= 0 and bool(member_id))

    async def perform_seek(self) -> None:
        """Read on from the stable committed offsets; Faust calls it when a rebalance is over."""
        epoch = self.epoch
        starts, firsts = await self._thread.stable_starts()
        if self.epoch != epoch:
            return  # another rebalance has begun meanwhile; it ends in here again
        self.epoch += 1
        positions = {
            partition: _position(start, firsts.get(partition, 0))
            for partition, start in starts.items()
        }
        self._numbers = dict.fromkeys(positions, 0)
        self.app.connection.intake.on_assigned(self.epoch, positions)
        await self._thread.seek_all({p: position.base for p, position in positions.items()})

    async def _drain_messages(self, fetcher: Any) -> None:
        try:
            while not (self._stopped.is_set() or fetcher._stopped.is_set()):  # noqa: SLF001 - Faust's own way to ask
                await self._drain_once()
        except self.consumer_stopped_errors:
            if not self.app.should_stop:
                raise

    async def _drain_once(self) -> None:
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
            return
        ready = self._ready_partitions()
        if not ready:
            await self.sleep(0.02)
            return
        epoch = self.epoch
        all_ready = len(ready) == len(self._get_active_partitions())
        records = await self._thread.getmany(ready, GETMANY_S if all_ready else NOT_ALL_READY_S)
        left = {tp.partition: batch[0].offset for tp, batch in records.items()}
        for tp, batch in records.items():
            # Both may change during any wait in here.
            if not self.flow_active or self.epoch != epoch:
                # A whole rebalance fits into one fetch. It may have sought before this fetch took
                # its records, so that nothing but this brings them again.
                await self._thread.give_back(left)
                return
            del left[tp.partition]
            number = self._numbers[tp.partition]
            self._numbers[tp.partition] = number + 1
            message = self._message(tp, Batch(tp.partition, epoch, number, batch))
            self.app.connection.intake.on_fetched(len(batch))
            await self.wait_first(self.callback(message), self._suspended())

    async def _suspended(self) -> None:
        await self.suspend_flow.wait()

    def _ready_partitions(self) -> set[TP]:
        is_ready = self.app.connection.intake.is_ready
        return {tp for tp in self._get_active_partitions() if is_ready(tp.partition)}

    def _message(self, tp: Any, batch: Batch) -> ConsumerMessage:
        last = batch.records[-1]
        return ConsumerMessage(
            tp.topic,
            tp.partition,
            last.offset,
            last.timestamp / 1000.0,
            last.timestamp_type,
            None,
            None,
            batch,
            None,
            None,
            None,
            TP(tp.topic, tp.partition),
            generation_id=self.app.consumer_generation_id,
        )

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:  # noqa: FBT001, FBT002 - Faust's signature
        """Commit nothing: offsets are committed by the transactional writer."""
        del topics, start_new_transaction
        return False

    @Service.task  # type: ignore[untyped-decorator] # mode is untyped
    async def _commit_handler(self) -> None:
        """Replace Faust's timer: there is nothing to commit."""

    @Service.task  # type: ignore[untyped-decorator] # mode is untyped
    async def _commit_livelock_detector(self) -> None:
        """Replace Faust's detector, which looks at Faust's commits; see `watchdog`."""


def _position(start: Start, first: int) -> Position:
    """Where to begin: retention may have taken what was committed, or nothing ever was."""
    if start.offset is None or start.offset < first:
        return Position(first, first)
    return Position(start.offset, first, start.metadata)


class Transport(driver.Transport):  # type: ignore[misc] # Faust is untyped
    """`weighbridge://HOST:PORT`."""

    Consumer = Consumer

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        use_forgiving_records()
        super().__init__(*args, **kwargs)


def register() -> None:
    """Make the scheme known to Faust, also where the package's entry points are not installed."""
    # Faust's services log their starts and stops under the module of their class, so here.
    logging.getLogger(__name__).setLevel(logging.WARNING)
    TRANSPORTS.aliases[SCHEME] = f"{__name__}:Transport"


def urls(bootstrap: str) -> list[str]:
    """A broker list (`host:port,host:port`) as Faust's URLs."""
    return [f"{SCHEME}://{server.strip()}" for server in bootstrap.split(",") if server.strip()]
