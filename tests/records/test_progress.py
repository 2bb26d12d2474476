"""Progress records on the wire."""

from dataclasses import replace

import pytest

from broker.records.errors import BadRecordError
from broker.records.progress import (
    ProgressRecord,
    decode_progress,
    encode_progress,
    progress_json,
)

T = 1_764_000_000.0
RECORD = ProgressRecord(
    id="a",
    tenant="acme",
    provider="p",
    worker="llm.worker.p-0",
    lane="heavy",
    state="waiting",
    place=7,
    starts_at=(T + 1, T + 4.5),
    ends_at=(T + 9.125, T + 20),
    at=T,
)


def test_a_record_comes_back_as_it_went() -> None:
    assert decode_progress(encode_progress(RECORD)) == RECORD
    assert RECORD.key == b"a"
    assert progress_json(RECORD)["starts_at"] == [
        "2025-11-24T16:00:01.000Z",
        "2025-11-24T16:00:04.500Z",
    ]


def test_fields_of_a_later_version_are_left_out() -> None:
    value = encode_progress(RECORD).replace(b'{"id"', b'{"more": 1, "id"')
    assert decode_progress(value) == RECORD


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"[]",
        b"{}",
        encode_progress(RECORD).replace(b'"place":7,', b""),
        encode_progress(replace(RECORD, starts_at=(T, T))).replace(b'"starts_at":[', b'"x":['),
        b'{"starts_at": ["2025-11-24T16:00:01Z"], "ends_at": [], "at": "x"}',
    ],
)
def test_what_is_none_of_ours_is_said_to_be_so(value: bytes | None) -> None:
    with pytest.raises(BadRecordError):
        decode_progress(value)
