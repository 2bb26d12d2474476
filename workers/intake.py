"""The thread that reads work. Every call of the Kafka consumer is made on it, and nowhere else.

It never waits for a transaction, except for a moment when partitions are taken from it: then what
is done is committed first, so that their next owner does not do it again.
"""

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from broker.core.lanes import LANES, Lane, LanePlan
from broker.core.offsets import Restored
from broker.log.kafka_errors import kafka_error
from broker.records.errors import NotReadyError, WeighbridgeError
from broker.telemetry.logs import get_logger
from workers.arrivals import arrival
from workers.backlog import Backlog
from workers.fence import CachedFence
from workers.job import Arrival

POLL_S: Final = 0.02
MOST_A_POLL: Final = 500
COMMITTED_S: Final = 20.0
"""How long a transaction of a previous owner may keep us from its partitions' offsets."""
REVOKE_FLUSH_S: Final = 3.0
_FENCE_EVERY_S: Final = 0.1
_LAG_EVERY_S: Final = 0.5
_WATERMARK_S: Final = 0.25
_SILENT_S: Final = 30.0


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


class Intake:
    """Reads one provider's work topic as a member of its group."""

    def __init__(
        self,
        *,
        client: Mapping[str, Any],
        topic: str,
        lanes: LanePlan,
        book: Book,
        backlog: Backlog,
        hooks: Hooks,
    ) -> None:
        self._client = dict(client)
        self._topic = topic
        self._book = book
        self._backlog = backlog
        self._hooks = hooks
        self._lane_of: dict[int, Lane] = {
            partition: lane for lane, own in lanes.partitions.items() for partition in own
        }
        self.fence = CachedFence()
        self._log = get_logger(topic=topic)
        self._thread = threading.Thread(target=self._run, name="intake", daemon=True)
        self._consumer: Any = None
        self._epoch = 0
        self._epochs: dict[int, int] = {}
        self._paused: set[int] = set()
        self._resting = False
        self._stopping = False
        self._beat = time.monotonic()
        self._fenced_at = self._lagged_at = 0.0
        self._lag: dict[Lane, int] = dict.fromkeys(LANES, 0)

    @property
    def joined(self) -> bool:
        """Whether the consumer is a member of its group (perhaps without a partition)."""
        return self.fence.current() is not None

    @property
    def partitions(self) -> tuple[int, ...]:
        """The partitions that are ours now."""
        return tuple(sorted(self._epochs))

    @property
    def lag(self) -> Mapping[Lane, int]:
        """Records of our partitions that have not been read yet, by lane; at most a second old."""
        return self._lag

    @property
    def problem(self) -> str | None:
        """Why the thread should be held for dead, or None."""
        if not self._thread.is_alive() and not self._stopping:
            return "The reading thread has ended."
        silent = time.monotonic() - self._beat
        return f"The reading thread hangs since {silent:.0f} s." if silent > _SILENT_S else None

    def start(self) -> None:
        """Join the group."""
        self._thread.start()

    def rest(self) -> None:
        """Read nothing more, but stay a member, so that what is under way can be committed."""
        self._resting = True

    def stop(self, deadline_s: float) -> bool:
        """Leave; what is done is committed first. False when that did not end in time."""
        self._stopping = True
        self._thread.join(deadline_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._consumer = Consumer(self._client)
            self._consumer.subscribe(
                [self._topic],
                on_assign=self._assigned,
                on_revoke=self._revoked,
                on_lost=self._lost,
            )
            while not self._stopping:
                self._turn()
            self._consumer.close()
        except KafkaException as error:
            self._hooks.failed(
                kafka_error(
                    error,
                    doing=f"reading {self._topic}",
                    where=str(self._client.get("bootstrap.servers")),
                )
            )
        except WeighbridgeError as error:
            self._hooks.failed(error)
        except Exception as error:  # noqa: BLE001 - a thread's end must be told, whatever ended it
            self._log.exception("intake_failed")
            self._hooks.failed(
                WeighbridgeError(
                    f"Reading {self._topic} failed: {type(error).__name__}.",
                    mend="Please report it with the log of this worker.",
                )
            )

    def _turn(self) -> None:
        consumer = self._consumer
        # `consume` alone would wait for a full batch; so wait for one, then take what is there.
        first = consumer.poll(POLL_S)
        self._beat = now = time.monotonic()
        if first is not None:
            self._take([first, *consumer.consume(MOST_A_POLL - 1, 0.0)])
        if now - self._fenced_at >= _FENCE_EVERY_S:
            self._refresh_fence(now)
            self._note_positions()
        if now - self._lagged_at >= _LAG_EVERY_S:
            self._lagged_at = now
            self._measure_lag()
        self._pause_or_resume()

    def _take(self, messages: Sequence[Any]) -> None:
        arrivals: list[Arrival] = []
        epochs, book, backlog, topic = self._epochs, self._book, self._backlog, self._topic
        for message in messages:
            error = message.error()
            if error is not None:
                self._failed_message(error)
                continue
            partition = message.partition()
            epoch = epochs.get(partition)
            if epoch is None or not book.delivered((topic, partition), message.offset()):
                continue
            came = arrival(message, epoch, self._lane_of[partition])
            backlog.came(came.lane, came.size)
            arrivals.append(came)
        if arrivals:
            self._hooks.arrived(arrivals)

    def _failed_message(self, error: KafkaError) -> None:
        if error.code() == KafkaError._MAX_POLL_EXCEEDED:  # noqa: SLF001 - a public constant
            self._log.warning("left_group", why="polled too late")
            return
        if error.fatal():
            raise fenced(self._client, error)
        if error.retriable() or error.code() < 0:
            # librdkafka goes on by itself; its own codes are below zero.
            self._log.info("kafka_trouble", code=error.name())
            return
        raise kafka_error(
            error, doing=f"reading {self._topic}", where=str(self._client["bootstrap.servers"])
        )

    def _refresh_fence(self, now: float) -> None:
        self._fenced_at = now
        self.fence.update(self._consumer.consumer_group_metadata())

    def _note_positions(self) -> None:
        """Transaction markers and other gaps at the end of what was read are passed, so done."""
        if not self._epochs:
            return
        ours = [TopicPartition(self._topic, partition) for partition in self._epochs]
        for place in self._consumer.position(ours):
            if place.offset > 0:
                self._book.passed((self._topic, place.partition), place.offset)

    def _pause_or_resume(self) -> None:
        pause, resume = [], []
        for partition in self._epochs:
            paused = partition in self._paused
            lane = self._lane_of[partition]
            wanted = (
                self._resting
                or self._backlog.is_full(lane, paused=paused)
                or self._book.wants_pause((self._topic, partition), paused=paused)
            )
            if wanted and not paused:
                pause.append(partition)
            elif paused and not wanted:
                resume.append(partition)
        if pause:
            self._consumer.pause([TopicPartition(self._topic, each) for each in pause])
            self._paused.update(pause)
        if resume:
            self._consumer.resume([TopicPartition(self._topic, each) for each in resume])
            self._paused.difference_update(resume)

    def _measure_lag(self) -> None:
        lag: dict[Lane, int] = dict.fromkeys(LANES, 0)
        ours = [TopicPartition(self._topic, partition) for partition in self._epochs]
        ask = True
        for place in self._consumer.position(ours) if ours else ():
            # The cached end is that of the last fetch; a paused partition is not fetched.
            asked = ask and place.partition in self._paused
            try:
                ends = self._consumer.get_watermark_offsets(
                    place, timeout=_WATERMARK_S, cached=not asked
                )
            except KafkaException:
                ask = False
                continue
            if ends is not None and place.offset >= 0 and ends[1] > place.offset:
                lag[self._lane_of[place.partition]] += ends[1] - place.offset
        self._lag = lag

    def _assigned(self, consumer: Any, given: list[TopicPartition]) -> None:
        self._epoch += 1
        starts = []
        if given:
            found = self._committed(consumer, given)
            for place in found:
                base = max(place.offset, 0)
                restored = self._book.assign(
                    (self._topic, place.partition), self._epoch, base, place.metadata or ""
                )
                self._epochs[place.partition] = self._epoch
                self._paused.discard(place.partition)
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
        self._refresh_fence(time.monotonic())
        self._hooks.rebalanced("assigned", len(given))
        self._log.info("assigned", partitions=[tp.partition for tp in given], epoch=self._epoch)

    def _committed(self, consumer: Any, given: list[TopicPartition]) -> list[Any]:
        wanted = [TopicPartition(self._topic, tp.partition) for tp in given]
        found: list[Any] = consumer.committed(wanted, timeout=COMMITTED_S)
        for place in found:
            if place.error is not None:
                raise KafkaException(place.error)
        return found

    def _revoked(self, consumer: Any, taken: list[TopicPartition]) -> None:
        ends = time.monotonic() + REVOKE_FLUSH_S
        places = [(self._topic, tp.partition) for tp in taken]
        # The committer may be waiting for the new generation, which only this thread can read.
        while not self._hooks.flush(POLL_S, places) and time.monotonic() < ends:
            self._refresh_fence(time.monotonic())
        self._forget(taken)
        self._hooks.rebalanced("revoked", len(taken))
        self._log.info("revoked", partitions=[tp.partition for tp in taken])
        del consumer  # the client takes them from the assignment itself

    def _lost(self, consumer: Any, taken: list[TopicPartition]) -> None:
        self._forget(taken)
        self._hooks.rebalanced("lost", len(taken))
        self._log.warning("lost", partitions=[tp.partition for tp in taken])
        del consumer

    def _forget(self, taken: Sequence[TopicPartition]) -> None:
        for tp in taken:
            self._book.revoke((self._topic, tp.partition))
            self._epochs.pop(tp.partition, None)
            self._paused.discard(tp.partition)
        if taken:
            self._hooks.dropped(frozenset(tp.partition for tp in taken))


def fenced(client: Mapping[str, Any], error: KafkaError) -> NotReadyError:
    """The client is dead for good; most often a second process has this slot."""
    instance = client.get("group.instance.id")
    return NotReadyError(
        f"The worker {instance} was put out of its group: {error.str()}.",
        mend="Does another process run with the same provider and --slot? Each needs its own.",
        code="fenced",
    )
