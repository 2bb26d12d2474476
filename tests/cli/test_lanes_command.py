"""`weighbridge lanes` on a real broker."""

import time

import pytest
from confluent_kafka import Producer

from broker.log.clients import admin_config, producer_config
from broker.log.topic_names import TopicNames
from broker.log.topics import apply_topics
from broker.records.control import Cancel, encode_cancel
from broker.records.lane_change import LaneChange, encode_lane_change
from broker.settings import Settings
from tests.cli.running import run
from tests.story.seeding import small


def write(settings: Settings, *values: bytes) -> None:
    producer = Producer(producer_config(settings))
    for value in values:
        producer.produce(TopicNames(settings.kafka.prefix).control, value)
    assert producer.flush(30) == 0


@pytest.fixture
def seeded(settings: Settings) -> Settings:
    made = small(settings)
    apply_topics(made, admin_config(made))
    now = round(time.time(), 3)
    steps = [
        LaneChange(1_818, 7_272, 2_000, 8_000, "light holds 50%", now - 200, "process 1"),
        LaneChange(1_818, 7_272, 2_000, 8_000, "light holds 50%", now - 200, "process 2"),
        LaneChange(1_652, 6_610, 1_818, 7_272, "light holds 48%", now - 100, "process 1"),
        LaneChange(1_652, 6_610, 1_652, 6_610, "written again", now, "process 1"),
    ]
    values = map(encode_lane_change, steps)
    write(made, encode_cancel(Cancel("p1", now)), *values, b"rubbish")
    return made


def test_what_is_in_force_is_the_newest_change_and_each_step_is_told_once(
    seeded: Settings,
) -> None:
    told = run(seeded, "lanes", "--json", WEIGHBRIDGE_LANES__MODE="auto").json()
    assert (told["mode"], told["light_max"], told["heavy_min"]) == ("auto", 1_652, 6_610)
    steps = [(one["old_light_max"], one["light_max"], one["why"]) for one in told["changes"]]
    assert steps == [(2_000, 1_818, "light holds 50%"), (1_818, 1_652, "light holds 48%")]
    shown = run(seeded, "lanes", WEIGHBRIDGE_LANES__MODE="auto").out
    assert shown.startswith("light is up to 1,652, heavy from 6,610 (auto; token units)")
    assert "1,818 → 1,652" in shown


def test_fixed_thresholds_are_the_settings_whatever_was_before(seeded: Settings) -> None:
    told = run(seeded, "lanes", "--json").json()
    assert (told["mode"], told["light_max"], told["heavy_min"]) == ("fixed", 2_000, 8_000)
