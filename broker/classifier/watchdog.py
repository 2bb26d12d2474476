"""A look from outside: Faust and aiokafka have stalled in ways that they did not notice.

A thread of its own, with a Kafka client of its own, compares what the log holds with what is being
read and committed. When nothing moves for too long although there is something to do, the process
ends with a clear error, and whoever supervises it starts it again.
"""

import os
import sys
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from threading import Event, Thread
from typing import Any, Final, Protocol

from confluent_kafka import Consumer, KafkaException, TopicPartition

from broker.records.errors import WeighbridgeError
from broker.telemetry.logs import get_logger

EVERY_S: Final = 5.0
REQUEST_S: Final = 4.0


class StalledError(WeighbridgeError):
    """Reading, deciding or committing has stopped although there is something to do."""

    default_code = "stalled"


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen at one time (monotonic seconds). Positions are offsets by partition.

    `beats` counts the turns of the event loop, `undecided` the records fetched and not decided,
    `pending` the decisions not committed; `decided` and `committed` are counts so far. `filling`
    are the partitions whose window is not ready.
    """

    at: float
    beats: int
    member: bool
    positions: Mapping[int, int | None]
    ends: Mapping[int, int]
    undecided: int
    decided: int
    pending: int
    committed: int
    filling: int


def problem(before: Look, now: Look) -> str | None:
    """What has not moved between two looks although it should have; None when all is well. Pure."""
    if now.beats == before.beats:
        return "the event loop has not run"
    if not now.member and not before.member:
        return "the consumer has not joined its group"
    if now.pending and before.pending and now.committed == before.committed:
        return f"{now.pending} decisions wait for their transaction, and none was committed"
    if now.undecided and before.undecided and not now.pending and now.decided == before.decided:
        return f"{now.undecided} records were fetched, and none was decided"
    resting = now.filling or before.filling or now.pending or now.undecided
    return None if resting else _not_read(before, now)


def _not_read(before: Look, now: Look) -> str | None:
    for partition, end in sorted(now.ends.items()):
        position, was_end = now.positions.get(partition), before.ends.get(partition)
        if was_end is None or was_end > end or before.positions.get(partition) != position:
            continue
        if (position or 0) < was_end:
            return f"partition {partition} is at {position}, and the log goes on to {end}"
    return None


class Watched(Protocol):
    """What the watchdog asks; from its own thread."""

    def partitions(self) -> Collection[int]:
        """The assigned partitions."""

    def look(self, at: float, ends: Mapping[int, int]) -> Look:
        """How things are."""


class Watchdog:
    """Calls `on_stall` once, on its thread, when nothing has moved for `patience_s`.

    While the broker cannot be asked nothing is held against us.
    """

    def __init__(
        self,
        client: Mapping[str, Any],
        topic: str,
        watched: Watched,
        *,
        patience_s: float,
        on_stall: Callable[[StalledError], None],
    ) -> None:
        self._client = {
            **client,
            "group.id": f"{topic}.watchdog",  # asked for by librdkafka, never joined
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
        }
        self._topic = topic
        self._watched = watched
        self._patience_s = patience_s
        self._on_stall = on_stall
        self._stopped = Event()
        self._thread = Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join(REQUEST_S * 2)

    def _run(self) -> None:
        consumer = Consumer(self._client)
        try:
            self._watch(consumer)
        finally:
            consumer.close()

    def _watch(self, consumer: Any) -> None:
        anchor: Look | None = None
        while not self._stopped.wait(min(EVERY_S, self._patience_s / 4)):
            ends = self._ends(consumer)
            if ends is None:
                anchor = None
                continue
            now = self._watched.look(time.monotonic(), ends)
            found = problem(anchor, now) if anchor is not None else None
            if anchor is None or found is None:
                anchor = now
            elif now.at - anchor.at >= self._patience_s:
                get_logger(room="classifier").error("stalled", what=found)
                self._on_stall(
                    StalledError(
                        f"The classifier has stalled: for {now.at - anchor.at:.0f} s {found}.",
                        mend="It ends now, to be started again; nothing is lost.",
                    )
                )
                return

    def _ends(self, consumer: Any) -> dict[int, int] | None:
        """The last stable offset of each assigned partition; None when the broker is silent."""
        ends: dict[int, int] = {}
        try:
            for partition in self._watched.partitions():
                place = TopicPartition(self._topic, partition)
                ends[partition] = consumer.get_watermark_offsets(place, timeout=REQUEST_S)[1]
                if self._stopped.is_set():
                    return None
            if not ends:
                consumer.list_topics(self._topic, timeout=REQUEST_S)
        except KafkaException:
            return None
        return ends


def leave_at_once(error: StalledError) -> None:
    """End the process: the event loop may be the part that hangs, so nothing is asked of it."""
    sys.stderr.write(f"weighbridge: {error}\n")
    sys.stderr.flush()
    os._exit(error.exit_code)
