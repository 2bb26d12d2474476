"""Batches that aiokafka cannot read: every record comes out, whatever its header's name is."""

from typing import Any

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from broker.classifier.record_batches import ForgivingRecords, read_batch

GZIP = 1
FIRST_RECORD_AT = 61  # the length of a batch's head


def batch(count: int = 3, *, compression: int = 0, name: str = "abcd") -> bytes:
    builder = DefaultRecordBatchBuilder(2, compression, 0, -1, -1, -1, 100_000)
    for offset in range(count):
        headers = [(name, b"1"), ("empty", None)]
        builder.append(offset, 1_000 + offset, b"key", f"value {offset}".encode(), headers)
    return bytes(builder.build())


def drained(data: bytes) -> list[Any]:
    records = ForgivingRecords(data)
    found: list[Any] = []
    while records.has_next():
        found += list(records.next_batch())
    return found


def test_aiokafka_alone_stops_at_a_name_that_is_not_utf8() -> None:
    with pytest.raises(UnicodeDecodeError):
        list(MemoryRecords(batch().replace(b"abcd", b"ab\xff\xfe")).next_batch())


def test_a_name_that_is_not_utf8_keeps_its_bytes_and_harms_no_neighbour() -> None:
    spoilt = batch().replace(b"abcd", b"ab\xff\xfe", 1)
    found = drained(batch() + spoilt + batch())
    assert [record.value for record in found] == [b"value 0", b"value 1", b"value 2"] * 3
    assert found[3].headers == [("ab\udcff\udcfe", b"1"), ("empty", None)]
    assert [record.timestamp for record in found[3:6]] == [1_000, 1_001, 1_002]
    assert found[4].headers == [("abcd", b"1"), ("empty", None)]


@pytest.mark.parametrize("compression", [0, GZIP])
def test_our_reader_reads_what_aiokafka_reads(compression: int) -> None:
    data = batch(50, compression=compression)
    theirs = list(MemoryRecords(data).next_batch())
    for ours, record in zip(read_batch(data), theirs, strict=True):
        assert ours.offset == record.offset
        assert ours.timestamp == record.timestamp
        assert (ours.key, ours.value) == (record.key, record.value)
        assert ours.headers == list(record.headers)


def test_a_record_that_says_it_is_longer_than_it_is_is_refused() -> None:
    data = bytearray(batch(1))
    data[FIRST_RECORD_AT] += 2
    with pytest.raises(Exception, match="past it"):
        list(read_batch(bytes(data)))
