"""Thresholds that follow the traffic, on a real broker and a clock of the test's."""

import asyncio
import time
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka import Producer

from broker.classifier.lane_keeping import FittedThresholds
from broker.classifier.learning import Learning
from broker.classifier.rules import Rules, rules_of
from broker.core.lane_fitting import EVERY_S, MOST_STEP, Bounds
from broker.core.lanes_in_force import KEEP_S
from broker.log.clients import admin_config, producer_config
from broker.log.embedded import Running
from broker.log.topic_names import TopicNames
from broker.log.topic_shapes import read_shapes
from broker.log.topics import apply_topics
from broker.records.calls import CallEvent, encode_call
from broker.records.control import Cancel, encode_cancel
from broker.records.lane_change import LaneChange, decode_lane_change, encode_lane_change
from broker.settings import Settings, load_settings
from broker.settings.lanes import LaneSettings
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

    def journal(self, count: int) -> None:
        """So many prompts of weight 100 were called for the first time."""
        producer = Producer(producer_config(self.settings))
        for number in range(count):
            call = CallEvent(
                f"s{number}",
                "acme",
                "azure",
                "chat-small",
                1,
                "started",
                self.now,
                lane="light",
                weight=100,
            )
            producer.produce(self.names.calls, encode_call(call))
        assert producer.flush(30) == 0

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


def test_lanes_that_are_told_to_while_it_runs_follow_the_traffic_and_stop_again(
    lanes: Lanes,
) -> None:
    fixed = lanes.settings.model_copy(
        update={"lanes": LaneSettings(light_max=1_000, heavy_min=4_000)}
    )

    async def told() -> None:
        learning = Learning(fixed, lanes.rules, ClassifierMetrics())
        learning.start()
        assert learning.thresholds is None
        lanes.journal(400)
        learning.use(lanes.settings, lanes.rules)
        thresholds = learning.thresholds
        assert thresholds is not None
        assert thresholds.plan(0.0) is lanes.rules.thresholds, "until a change is heard"
        lanes.journal(400)
        await until(lambda: thresholds.bounds == Bounds(909, 3_636))
        assert [one.light_max for one in lanes.changes()] == [909]
        other = lanes.settings.lanes.model_copy(update={"light_max": 20, "light_share": 0.2})
        learning.use(lanes.settings.model_copy(update={"lanes": other}), lanes.rules)
        assert learning.thresholds is thresholds
        assert thresholds.bounds == Bounds(909, 3_636), "where they are, not where they began"
        learning.use(fixed, lanes.rules)
        assert learning.thresholds is None
        await asyncio.get_running_loop().run_in_executor(None, learning.close)

    asyncio.run(told())


async def until(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + 30.0
    while not condition():
        assert time.monotonic() < ends
        await asyncio.sleep(0.02)
