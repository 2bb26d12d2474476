"""Control records on the wire."""

import pytest

from broker.records.control import Cancel, decode_control, encode_cancel
from broker.records.errors import BadRecordError


def test_a_cancel_comes_back_as_it_went() -> None:
    asked = Cancel("order-7", 1_764_000_000.125, "ann")
    assert decode_control(encode_cancel(asked)) == asked
    assert asked.key == b"order-7"


def test_a_record_of_a_type_of_a_later_version_is_left_alone() -> None:
    assert decode_control(b'{"type": "drain", "provider": "x"}') is None


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"{",
        b"[]",
        b'"cancel"',
        b"{}",
        b'{"type": "cancel"}',
        b'{"type": "cancel", "id": 7, "at": "2026-11-24T14:20:00Z"}',
        b'{"type": "cancel", "id": "a", "at": "yesterday"}',
        b'{"type": "cancel", "id": "a", "at": 5}',
        b'{"type": "cancel", "id": "a", "at": "2026-11-24T14:20:00Z", "by": {}}',
    ],
)
def test_what_is_none_of_ours_is_said_to_be_so(value: bytes | None) -> None:
    with pytest.raises(BadRecordError):
        decode_control(value)
