"""Lane thresholds that follow the traffic (`lanes.mode = "auto"`): the core's, carried out.

What is in force is the newest change in `<prefix>.control`, for every classifier alike, and so for
one that starts.
"""

import os
import time
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Producer

from broker.classifier.rules import Rules
from broker.core.lane_fitting import Bounds, LaneFitting
from broker.core.lanes import LanePlan
from broker.core.lanes_in_force import LanesInForce
from broker.log.clients import consumer_config, producer_config
from broker.log.topic_follower import Back, TopicFollower
from broker.log.topic_names import TopicNames
from broker.records.lane_change import KEY, LaneChange, decode_lane_change, encode_lane_change
from broker.settings import Settings
from broker.settings.lanes import LaneSettings
from broker.telemetry.logs import get_logger
from broker.telemetry.metrics import ClassifierMetrics

LOOK_S: Final = 1.0
"""So often it is asked whether a change is due."""
_READ_BACK_S: Final = 86_400.0
_BATCH: Final = 100
_WRITTEN_MS: Final = 10_000
_FLUSH_S: Final = 2.0


class FittedThresholds:
    """`broker.classifier.weighing.Thresholds` that move. Used on the event loop."""

    def __init__(self, settings: Settings, rules: Rules, metrics: ClassifierMetrics) -> None:
        given = settings.lanes
        self._topic = TopicNames(settings.kafka.prefix).control
        self._looked_at = 0.0
        self._metrics = metrics
        self._log = get_logger(room="classifier")
        self._fitting = LaneFitting(
            given.light_share, given.heavy_share, given.fit_half_life_s, time.time()
        )
        self._in_force = LanesInForce(rules.thresholds, self._fitting)
        self._producer = Producer(
            producer_config(settings, **{"message.timeout.ms": _WRITTEN_MS, "log_level": 0})
        )
        self._follower: TopicFollower[LaneChange] = TopicFollower(
            consumer_config(settings), self._topic, _change_in, back=Back(seconds=_READ_BACK_S)
        )
        self._show()

    @property
    def bounds(self) -> Bounds:
        """The thresholds in force."""
        return self._in_force.bounds

    def plan(self, now: float) -> LanePlan:
        """The thresholds in force."""
        return self._in_force.plan(now)

    @property
    def is_heard(self) -> bool:
        """Whether every change that was there at the start is in force."""
        return self._follower.caught_up

    def use(self, given: LaneSettings, now: float) -> None:
        """Other shares from now on, and other thresholds to begin with."""
        self._fitting.use(given.light_share, given.heavy_share, given.fit_half_life_s, now)
        self._in_force.begin_at(Bounds(given.light_max, given.heavy_min))
        self._show()

    def start(self) -> None:
        """Begin to follow the changes."""
        self._follower.start()

    def began(self, weight: int, lane: str, at: float) -> None:
        """A prompt was called for the first time. Those of `batch` are in it by their priority."""
        self._in_force.began(weight, lane, at)

    def tick(self, now: float, *, all_read: bool) -> None:
        """Follow the changes of all; propose one when it is due.

        `all_read`: the journal was read to its end, so that what is wanted is of all the traffic.
        """
        for change in self._follower.take(_BATCH):
            self._follow(change, now)
        if 0.0 <= now - self._looked_at < LOOK_S:
            return
        self._looked_at = now
        self._producer.poll(0)
        if not all_read or not self._follower.caught_up:
            return
        due = self._in_force.due(now, f"process {os.getpid()}")
        if due is not None:
            self._write(due)

    def close(self) -> None:
        """Stop following; may take some seconds."""
        self._follower.close()
        self._producer.flush(_FLUSH_S)

    def _follow(self, change: LaneChange, now: float) -> None:
        old = self.bounds
        if self._in_force.follow(change, now):
            self._metrics.lane_changes.inc()
            self._log.info(
                "lanes_changed",
                light_max=change.light_max,
                heavy_min=change.heavy_min,
                old_light_max=old.light_max,
                old_heavy_min=old.heavy_min,
                why=change.why,
                by=change.by,
            )
            self._show()

    def _write(self, change: LaneChange) -> None:
        """Propose a change; it is in force when it comes back, here as everywhere."""
        try:
            self._producer.produce(
                self._topic, encode_lane_change(change), KEY, on_delivery=self._delivered
            )
        except (BufferError, KafkaException):
            self._log.warning("lanes_not_written", why="the client takes no record")

    def _delivered(self, error: KafkaError | None, _message: object) -> None:
        if error is not None:
            self._log.warning("lanes_not_written", why=error.name())

    def _show(self) -> None:
        show_bounds(self._metrics, self.bounds)


def show_bounds(metrics: ClassifierMetrics, bounds: Bounds) -> None:
    """Let the metrics say which thresholds are in force."""
    metrics.lane_bounds.labels("light_max").set(bounds.light_max)
    metrics.lane_bounds.labels("heavy_min").set(bounds.heavy_min)


def _change_in(message: Any) -> LaneChange | None:
    return decode_lane_change(message.value())
