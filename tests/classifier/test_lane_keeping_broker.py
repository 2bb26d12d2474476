"""Thresholds that follow the traffic, on a real broker and a clock of the test's."""

import time
from collections.abc import Iterator

import pytest
from confluent_kafka import Producer

from broker.classifier.lane_keeping import KEEP_S, FittedThresholds
from broker.classifier.rules import Rules, rules_of
from broker.core.lane_fitting import EVERY_S, MOST_STEP, Bounds
from broker.log.clients import admin_config, producer_config
from broker.log.embedded import Running
from broker.log.topic_names import TopicNames
from broker.log.topic_shapes import read_shapes
from broker.log.topics import apply_topics
from broker.records.control import Cancel, encode_cancel
from broker.records.lane_change import LaneChange, decode_lane_change, encode_lane_change
from broker.settings import Settings, load_settings
from broker.telemetry.metrics import ClassifierMetrics
from tests.log.writing import eventually
from tests.system.conversation import Conversation

TOPICS = {"prompts": 1, "work": 4, "completions": 1, "calls": 1, "chunks": 1, "dead_letters": 1}
START = Bounds(1_000, 4_000)


class Lanes:
    """Classifiers' thresholds in this process, and the control topic they share."""

    def __init__(self, settings: Settings) -> None:
        apply_topics(settings, admin_config(settings))
        self.settings = settings
        self.talk = Conversation(settings)
        self.names = TopicNames(settings.kafka.prefix)
        topics = [self.names.prompts, self.names.completions, self.names.dead_letters]
        shapes = read_shapes(admin_config(settings), [*topics, self.names.work("azure")])
        self.rules: Rules = rules_of(settings, shapes)
        self.all: list[FittedThresholds] = []
        self.now = time.time()

    def one(self, weight: int = 100) -> FittedThresholds:
        """One that has seen 400 prompts of this weight and heard all there is."""
        made = FittedThresholds(self.settings, self.rules, ClassifierMetrics())
        for _ in range(400):
            made.began(weight, "light", self.now)
        made.start()
        self.all.append(made)

        def heard() -> bool:
            made.tick(self.now, all_read=False)
            return made.is_heard

        assert eventually(heard)
        return made

    def later(self, seconds: float, *, all_read: bool = True) -> None:
        """So much later, all are asked whether a change is due."""
        self.now += seconds
        for one in self.all:
            one.tick(self.now, all_read=all_read)

    def changes(self) -> list[LaneChange]:
        found = (decode_lane_change(one.value) for one in self.talk.read(self.names.control))
        return [one for one in found if one is not None]

    def hear(self, count: int) -> None:
        """Until changes of so many moments were made, and all have heard the same."""

        def heard() -> bool:
            for one in self.all:
                one.tick(self.now, all_read=False)
            made = self.changes()
            last = Bounds(made[-1].light_max, made[-1].heavy_min) if made else START
            steps = len({one.at for one in made})
            return steps >= count and all(one.bounds == last for one in self.all)

        assert eventually(heard), (self.changes(), [one.bounds for one in self.all])

    def write(self, value: bytes) -> None:
        producer = Producer(producer_config(self.settings))
        producer.produce(self.names.control, value)
        assert producer.flush(30) == 0


@pytest.fixture
def lanes(kafka: Running, prefix: str) -> Iterator[Lanes]:
    made = Lanes(
        load_settings(
            kafka={"bootstrap": kafka.bootstrap, "prefix": prefix},
            topics=TOPICS,
            models={"chat-small": {"default": True}},
            providers={"azure": {"models": {"chat-small": "m"}}},
            lanes={"mode": "auto", "light_max": START.light_max, "heavy_min": START.heavy_min},
        )
    )
    yield made
    made.talk.close()
    for one in made.all:
        one.close()


def test_two_classifiers_move_together_a_step_a_minute_and_never_more(lanes: Lanes) -> None:
    lanes.one()
    lanes.one()
    before = START
    for step in range(1, 5):
        lanes.later(EVERY_S + 1)
        lanes.hear(step)
        bounds = lanes.all[0].bounds
        assert before.light_max / MOST_STEP - 1 <= bounds.light_max < before.light_max
        assert before.heavy_min / MOST_STEP - 1 <= bounds.heavy_min < before.heavy_min
        lanes.later(EVERY_S / 2)
        assert lanes.all[0].bounds == bounds, "nothing within the minute"
        before = bounds
    # Both may have proposed before they heard of the other; then it is the same step.
    steps = {(one.at, one.light_max, one.heavy_min) for one in lanes.changes()}
    assert len(steps) == len({at for at, _, _ in steps}) == 4


def test_one_that_starts_has_what_is_in_force_and_not_its_settings(lanes: Lanes) -> None:
    lanes.write(encode_cancel(Cancel("p1", lanes.now)))
    change = LaneChange(300, 900, 330, 990, "a test's", lanes.now)
    lanes.write(encode_lane_change(change))
    lanes.write(b'{"type":"lanes","light_max":900,"heavy_min":300}')
    assert lanes.one().bounds == Bounds(300, 900)


def test_nothing_is_proposed_while_the_journal_is_not_read_to_its_end(lanes: Lanes) -> None:
    one = lanes.one()
    lanes.later(EVERY_S + 1, all_read=False)
    assert lanes.changes() == []
    lanes.later(2)
    lanes.hear(1)
    assert one.bounds != START


def test_a_change_is_written_again_before_the_topic_forgets_it(lanes: Lanes) -> None:
    lanes.one()
    lanes.later(EVERY_S + 1)
    lanes.hear(1)
    first = lanes.changes()[0]
    lanes.later(KEEP_S + 1)
    lanes.hear(2)
    again = lanes.changes()[-1]
    assert (again.light_max, again.heavy_min) == (first.light_max, first.heavy_min)
    assert again.old_light_max == first.light_max
    assert again.at > first.at
