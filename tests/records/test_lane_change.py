"""A change of the lanes' thresholds in the control topic, beside records of other types."""

import orjson
import pytest

from broker.records.control import Cancel, decode_control, encode_cancel
from broker.records.errors import BadRecordError
from broker.records.lane_change import LaneChange, decode_lane_change, encode_lane_change

CHANGE = LaneChange(1_818, 7_272, 2_000, 8_000, "light holds 50%", 1_795_000_000.5, "process 7")


def test_it_is_read_as_it_was_written() -> None:
    assert decode_lane_change(encode_lane_change(CHANGE)) == CHANGE


def test_each_reader_of_the_topic_leaves_out_the_others_records() -> None:
    assert decode_control(encode_lane_change(CHANGE)) is None
    assert decode_lane_change(encode_cancel(Cancel("p1", 1_795_000_000.0))) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"light_max": 8_000, "heavy_min": 2_000},
        {"light_max": 0},
        {"light_max": "many"},
        {"heavy_min": 2.5},
        {"old_light_max": 9_000},
        {"at": "yesterday"},
        {"why": None, "at": None},
    ],
)
def test_thresholds_out_of_order_are_never_taken_over(wrong: dict[str, object]) -> None:
    value = orjson.loads(encode_lane_change(CHANGE))
    with pytest.raises(BadRecordError):
        decode_lane_change(orjson.dumps({**value, **wrong}))


@pytest.mark.parametrize("value", [None, b"", b"[]", b"{}", b"7"])
def test_rubbish_is_said_to_be_rubbish(value: bytes | None) -> None:
    with pytest.raises(BadRecordError):
        decode_lane_change(value)
