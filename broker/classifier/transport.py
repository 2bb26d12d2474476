"""Faust's aiokafka transport with the rules of an exactly-once reader.

- Faust commits nothing: the offsets travel in the writer's transactions.
- Reading is read-committed, from positions that are stable (`stable_offsets`).
- An event of the stream is not a record but all records that one fetch brought of one partition,
  so that Faust's cost for an event is paid once for hundreds of prompts.
- No record can stop its partition (`record_batches`).
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol

import aiokafka
import uvloop
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from faust.transport.drivers import TRANSPORTS
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage
from mode import Service

from broker.classifier.record_batches import use_forgiving_records
from broker.classifier.stable_offsets import StableOffsets, Start

SCHEME: Final = "weighbridge"
FETCH_WAIT_MS: Final = 200
"""Longest wait of the broker for new records. A partition that is not in the fetch under way waits
for its end, so this bounds what a busy partition costs a quiet one."""
GETMANY_S: Final = 0.5
NOT_ALL_READY_S: Final = 0.05
"""Wait for records while some partition is not ready yet: it should not wait for the others."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of one partition as one fetch brought them, read in the assignment `epoch`.

    `number` counts the batches of the partition in this epoch from 0: with it whoever takes them
    knows that none was left out on the way.
    """

    partition: int
    epoch: int
    number: int
    records: list[Any]


@dataclass(frozen=True, slots=True)
class Position:
    """Where a partition is read on: `base`. `first` is the oldest offset that it still has."""

    base: int
    first: int
    metadata: str = ""


class Intake(Protocol):
    """Who takes the batches. Every method is called on the event loop of the app."""

    def on_assigned(self, epoch: int, positions: Mapping[int, Position]) -> None:
        """A rebalance is over: these partitions are ours, to be read from these positions."""

    def on_revoking(self) -> None:
        """A rebalance begins."""

    async def on_revoked(self, *, member: bool) -> None:
        """Last chance to commit. `member` is False when the group has put us out already."""

    def on_fetched(self, records: int) -> None:
        """So many records are on their way to the agent."""

    def is_ready(self, partition: int) -> bool:
        """Whether records of the partition may be delivered now; asked before every fetch."""


@dataclass(slots=True)
class Connection:
    """What the transport needs beyond Faust's own settings; `App.connection` holds it."""

    intake: Intake
    offsets: StableOffsets
    security: Mapping[str, Any]
    topic: str
    offsets_deadline_s: float = 20.0


class ConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc] # Faust is untyped
    """The thread that owns the aiokafka consumer."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        conf = self.app.conf
        return aiokafka.AIOKafkaConsumer(
            client_id=conf.broker_client_id,
            group_id=conf.id,
            group_instance_id=conf.consumer_group_instance_id,
            bootstrap_servers=driver.server_list(transport.url, transport.default_port),
            partition_assignment_strategy=[RoundRobinPartitionAssignor],
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_poll_records=conf.broker_max_poll_records,
            max_poll_interval_ms=int(conf.broker_max_poll_interval * 1000),
            max_partition_fetch_bytes=conf.consumer_max_fetch_size,
            fetch_max_wait_ms=FETCH_WAIT_MS,
            request_timeout_ms=int(conf.broker_request_timeout * 1000),
            check_crcs=conf.broker_check_crcs,
            session_timeout_ms=int(conf.broker_session_timeout * 1000),
            rebalance_timeout_ms=int(conf.broker_rebalance_timeout * 1000),
            heartbeat_interval_ms=int(conf.broker_heartbeat_interval * 1000),
            isolation_level="read_committed",
            metadata_max_age_ms=conf.consumer_metadata_max_age_ms,
            connections_max_idle_ms=conf.consumer_connections_max_idle_ms,
            **self.app.connection.security,
        )

    async def stable_starts(self) -> tuple[dict[int, Start], dict[int, int]]:
        """Committed positions of the assigned partitions, and the first offset each still has."""
        found: tuple[dict[int, Start], dict[int, int]] = await self.call_thread(self._stable_starts)
        return found

    async def _stable_starts(self) -> tuple[dict[int, Start], dict[int, int]]:
        connection: Connection = self.app.connection
        consumer = self._ensure_consumer()
        assigned = consumer.assignment()
        if not assigned:
            return {}, {}
        partitions = [tp.partition for tp in assigned]
        read = partial(
            connection.offsets.read, connection.topic, partitions, connection.offsets_deadline_s
        )
        starts = await asyncio.get_running_loop().run_in_executor(None, read)
        firsts = await consumer.beginning_offsets(assigned)
        return starts, {tp.partition: offset for tp, offset in firsts.items()}

    async def seek_all(self, positions: Mapping[int, int]) -> None:
        """Read on at these offsets; what was fetched before is forgotten."""
        await self.call_thread(self._seek_all, positions)

    async def _seek_all(self, positions: Mapping[int, int]) -> None:
        consumer = self._ensure_consumer()
        assigned = consumer.assignment()
        for partition, offset in positions.items():
            tp = aiokafka.TopicPartition(self.app.connection.topic, partition)
            if tp in assigned:
                consumer.seek(tp, offset)

    def membership(self) -> tuple[int, str]:
        """Generation and member id as the group's coordinator knows us; -1 and "" when not joined.

        Two plain attributes, so any thread may ask.
        """
        coordinator = getattr(self._consumer, "_coordinator", None)
        if coordinator is None:
            return -1, ""
        return coordinator.generation, coordinator.member_id

    def progress(self, partition: int) -> int | None:
        """The next offset to read; None when there is none yet. Any thread may ask."""
        tp = aiokafka.TopicPartition(self.app.connection.topic, partition)
        subscription = getattr(self._consumer, "_subscription", None)
        assignment = getattr(getattr(subscription, "subscription", None), "assignment", None)
        if assignment is None or tp not in assignment.tps:
            return None
        state = assignment.state_value(tp)
        return state.position if state.has_valid_position else None


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
        for tp, batch in records.items():
            # Both may change during any wait in here. What is thrown away is fetched again: with a
            # changed epoch a seek has been made, or will be before the flow goes on.
            if not self.flow_active or self.epoch != epoch:
                return
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
