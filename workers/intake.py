"""The thread that reads work. Every call of the Kafka consumer is made on it, and nowhere else.

It never waits for a transaction, except for a moment when partitions are taken from it: then what
is done is committed first, so that their next owner does not do it again.
"""

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from broker.core.lanes import LANES, Lane, LanePlan
from broker.log.group_fence import member_of
from broker.log.kafka_errors import kafka_error
from broker.records.errors import NotReadyError, WeighbridgeError
from broker.telemetry.logs import get_logger
from workers.arrivals import arrival
from workers.assignment import Assignment, Book, Hooks
from workers.backlog import Backlog
from workers.fence import CachedFence
from workers.job import Arrival
from workers.lag import Lag

POLL_S: Final = 0.02
MOST_A_POLL: Final = 500
_FEWEST_A_POLL: Final = 10
_FENCE_EVERY_S: Final = 0.1
_LAG_EVERY_S: Final = 0.5
_SILENT_S: Final = 30.0


class Intake:
    """Reads one provider's work topic as a member of its group."""

    def __init__(
        self,
        *,
        client: Mapping[str, Any],
        topic: str,
        lanes: LanePlan,
        book: Book,
        fence: CachedFence,
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
        self.fence = fence
        self._log = get_logger(topic=topic)
        self._thread = threading.Thread(target=self._run, name="intake", daemon=True)
        self._consumer: Any = None
        self._assignment = Assignment(topic, book, hooks, self._refresh_fence)
        self._resting = False
        self._stopping = False
        self._beat = time.monotonic()
        self._fenced_at = self._lagged_at = 0.0
        self._lags = Lag(topic, self._lane_of)
        self._lag: dict[Lane, int] = dict.fromkeys(LANES, 0)
        self._most = _FEWEST_A_POLL

    @property
    def joined(self) -> bool:
        """Whether the consumer is a member of its group (perhaps without a partition)."""
        return self.fence.current() is not None

    @property
    def partitions(self) -> tuple[int, ...]:
        """The partitions that are ours now."""
        return tuple(sorted(self._assignment.epochs))

    @property
    def lag(self) -> Mapping[Lane, int]:
        """Records of our partitions that have not been read yet, by lane.

        At most a second old; where partitions are paused for long, some seconds.
        """
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
            self._subscribe()
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

    def _subscribe(self) -> None:
        ours = self._assignment
        self._consumer.subscribe(
            [self._topic], on_assign=ours.assigned, on_revoke=ours.revoked, on_lost=ours.lost
        )

    def _turn(self) -> None:
        consumer = self._consumer
        if self._assignment.must_rejoin:
            self._assignment.must_rejoin = False
            # So it joins without a claim to what it had, which others may still have.
            consumer.unsubscribe()
            self._subscribe()
        # `consume` alone would wait for a full batch; so wait for one, then take what is there.
        first = consumer.poll(POLL_S)
        self._beat = now = time.monotonic()
        if first is not None:
            # It belongs to the assignment of now; reading on may serve a rebalance.
            arrivals = self._read([first])
            arrivals += self._read(consumer.consume(self._most, 0.0))
            if arrivals:
                self._hooks.arrived(arrivals)
        if now - self._fenced_at >= _FENCE_EVERY_S:
            self._refresh_fence()
            self._note_positions()
        if now - self._lagged_at >= _LAG_EVERY_S:
            self._lagged_at = now
            ours = self._assignment
            self._lag = self._lags.by_lane(consumer, ours.starts, ours.paused)
        self._pause_or_resume()

    def _read(self, messages: Sequence[Any]) -> list[Arrival]:
        arrivals: list[Arrival] = []
        epochs, book, backlog, topic = (
            self._assignment.epochs,
            self._book,
            self._backlog,
            self._topic,
        )
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
            backlog.came(came)
            arrivals.append(came)
        return arrivals

    def _failed_message(self, error: KafkaError) -> None:
        if error.code() == KafkaError._MAX_POLL_EXCEEDED:  # noqa: SLF001 - a public constant
            self._log.warning("left_group", why="polled too late")
            return
        # The event of a fatal error does not say that it is one; its code does.
        if error.fatal() or error.code() == KafkaError._FATAL:  # noqa: SLF001 - as above
            raise fenced(self._client, error)
        if error.retriable() or error.code() < 0:
            # librdkafka goes on by itself; its own codes are below zero.
            self._log.info("kafka_trouble", code=error.name())
            return
        raise kafka_error(
            error, doing=f"reading {self._topic}", where=str(self._client["bootstrap.servers"])
        )

    def _refresh_fence(self) -> None:
        self._fenced_at = time.monotonic()
        metadata = self._consumer.consumer_group_metadata()
        # First this: nobody may commit as a new member what the old one had.
        self._assignment.told_member(member_of(metadata))
        self.fence.update(metadata)

    def _note_positions(self) -> None:
        """Transaction markers and other gaps at the end of what was read are passed, so done."""
        ours = [TopicPartition(self._topic, partition) for partition in self._assignment.epochs]
        # Before the first record of an assignment has been read, there is no position.
        for place in self._consumer.position(ours) if ours else ():
            if place.offset > 0:
                self._book.passed((self._topic, place.partition), place.offset)

    def _pause_or_resume(self) -> None:
        pause, resume = [], []
        assignment, most = self._assignment, MOST_A_POLL
        for partition in assignment.epochs:
            paused = partition in assignment.paused
            lane = self._lane_of[partition]
            wanted = (
                self._resting
                or self._backlog.is_full(lane, partition, paused=paused)
                or self._book.wants_pause((self._topic, partition), paused=paused)
            )
            if not wanted:
                # Or what one partition has ready would fill the lane before it can be paused.
                most = min(most, self._backlog.free(lane) // 2)
            if wanted and not paused:
                pause.append(partition)
            elif paused and not wanted:
                resume.append(partition)
        self._most = max(most, _FEWEST_A_POLL)
        if pause:
            self._consumer.pause([TopicPartition(self._topic, each) for each in pause])
            assignment.paused.update(pause)
        if resume:
            self._consumer.resume([TopicPartition(self._topic, each) for each in resume])
            assignment.paused.difference_update(resume)


def fenced(client: Mapping[str, Any], error: KafkaError) -> NotReadyError:
    """The client is dead for good; most often a second process has this slot."""
    instance = client.get("group.instance.id")
    return NotReadyError(
        f"The worker {instance} was put out of its group: {error.str()}.",
        mend="Does another process run with the same provider and --slot? Each needs its own.",
        code="fenced",
    )
