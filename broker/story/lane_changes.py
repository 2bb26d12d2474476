"""Which lane thresholds are in force, and how they came to be, from the control topic alone."""

from dataclasses import dataclass

from broker.log.topic_names import TopicNames
from broker.records.errors import BadRecordError
from broker.records.lane_change import LaneChange, decode_lane_change
from broker.settings import Settings
from broker.story.log_reader import LogReader, Progress


@dataclass(frozen=True, slots=True)
class LaneHistory:
    """`mode` is the settings'; the thresholds are those in force (token units).

    `changes` are those of the last day, oldest first, without what only keeps one from being
    forgotten. With `fixed` thresholds they are of the past.
    """

    mode: str
    light_max: int
    heavy_min: int
    changes: tuple[LaneChange, ...]


def read_lanes(settings: Settings, progress: Progress | None = None) -> LaneHistory:
    """Read it; raises NotReadyError when the cluster or the topic is not there."""
    given = settings.lanes
    topic = TopicNames(settings.kafka.prefix).control
    heard: list[LaneChange] = []
    with LogReader(settings) as reader:
        reader.require(topic)
        for batch in reader.read(reader.spans(topic), progress):
            for message in batch:
                try:
                    change = decode_lane_change(message.value())
                except BadRecordError:
                    continue  # classifiers pass over it too, and say so
                if change is not None:
                    heard.append(change)
    bounds = (given.light_max, given.heavy_min)
    if heard and given.mode == "auto":
        bounds = (heard[-1].light_max, heard[-1].heavy_min)
    return LaneHistory(given.mode, *bounds, tuple(_moves(heard)))


def _moves(heard: list[LaneChange]) -> list[LaneChange]:
    moves = []
    before: tuple[int, int] | None = None
    for change in heard:
        after = (change.light_max, change.heavy_min)
        if after != (before or (change.old_light_max, change.old_heavy_min)):
            moves.append(change)
        before = after
    return moves
