"""The thread that owns Faust's aiokafka consumer: read-committed, from stable positions."""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import aiokafka
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from faust.transport.drivers import aiokafka as driver

from broker.classifier.stable_offsets import Start

if TYPE_CHECKING:
    from broker.classifier.intake import Connection

FETCH_WAIT_MS: Final = 200
"""Longest wait of the broker for new records. A partition that is not in the fetch under way waits
for its end, so this bounds what a busy partition costs a quiet one."""


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

    async def give_back(self, firsts: Mapping[int, int]) -> None:
        """Fetch these offsets again, for their records were thrown away.

        A position only ever moves back: a seek may have been made meanwhile, to an earlier one.
        """
        await self.call_thread(self._give_back, firsts)

    async def _give_back(self, firsts: Mapping[int, int]) -> None:
        consumer = self._ensure_consumer()
        for partition, first in firsts.items():
            position = self.progress(partition)
            if position is not None and position > first:
                consumer.seek(aiokafka.TopicPartition(self.app.connection.topic, partition), first)

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
