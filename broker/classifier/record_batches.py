"""Reading fetched record batches without ever stopping at one that aiokafka cannot read.

aiokafka decodes a header's name as strict UTF-8 and reads a record's attributes as a varint. The
broker checks neither (Java replaces what it cannot decode), so one such record would stop its
partition for good. A batch that aiokafka fails on is read again here, by KIP-98's layout, with the
undecodable bytes of a name kept as surrogates (PEP 383) for whoever rejects the record.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from struct import unpack_from
from typing import Any, Final

from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords

_LENGTH_AT: Final = 8
_OVERHEAD: Final = 12  # base offset and length, which the length does not count
_MAX_VARINT_BITS: Final = 70


@dataclass(frozen=True, slots=True)
class ParsedRecord:
    """A record as aiokafka's fetcher expects it. `timestamp` is unix milliseconds."""

    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    checksum: None = None


class ForgivingRecords:
    """What aiokafka's `MemoryRecords` is to its fetcher, with batches that can be read again."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._strict = MemoryRecords(data)

    def size_in_bytes(self) -> int:
        """Bytes of the whole answer."""
        return len(self._data)

    def has_next(self) -> bool:
        """Whether there is another whole batch."""
        return bool(self._strict.has_next())

    def next_batch(self) -> "ForgivingBatch":
        """The next batch, in the order of the log."""
        length: int = unpack_from(">i", self._data, self._at + _LENGTH_AT)[0]
        start, self._at = self._at, self._at + _OVERHEAD + length
        return ForgivingBatch(self._strict.next_batch(), self._data, start, self._at)


class ForgivingBatch:
    """A record batch: aiokafka's own while that works, ours from the first record it refuses."""

    def __init__(self, strict: Any, data: bytes, start: int, end: int) -> None:
        self._strict = strict
        self._data = data
        self._range = (start, end)
        self._records: Iterator[Any] | None = None
        # aiokafka's fetcher asks each batch for these; plain attributes, for it asks often.
        self.base_offset: int = strict.base_offset
        self.next_offset: int = strict.next_offset
        self.producer_id: int | None = strict.producer_id
        self.is_control_batch: bool = strict.is_control_batch
        self.is_transactional: bool = strict.is_transactional

    def validate_crc(self) -> bool:
        """Whether the batch is as its producer wrote it."""
        return bool(self._strict.validate_crc())

    def __iter__(self) -> Iterator[Any]:
        if self._records is None:
            self._records = self._read()
        return self._records

    def __next__(self) -> Any:
        return next(iter(self))

    def _read(self) -> Iterator[Any]:
        last = self.base_offset - 1
        try:
            for record in self._strict:
                yield record
                last = record.offset
        except (CorruptRecordException, UnicodeDecodeError):
            start, end = self._range
            for record in read_batch(self._data[start:end]):
                if record.offset > last:
                    yield record


def read_batch(data: bytes) -> Iterator[ParsedRecord]:
    """The records of one batch of format 2; raises CorruptRecordException when it is none."""
    batch = _DefaultRecordBatchPy(data)
    batch._maybe_uncompress()  # noqa: SLF001 - the only way to its codecs
    body, at = bytes(batch._buffer), batch._pos  # noqa: SLF001 - as above
    for _ in range(batch._num_records):  # noqa: SLF001 - as above
        try:
            record, at = _record(batch, body, at)
        except IndexError as error:
            raise CorruptRecordException(f"A record ends too early: {error}") from error
        yield record


def _record(batch: Any, body: bytes, at: int) -> tuple[ParsedRecord, int]:
    length, at = _varint(body, at)
    end = at + length
    at += 1  # attributes: one byte, nothing in it is in use
    timestamp_delta, at = _varint(body, at)
    offset_delta, at = _varint(body, at)
    key, at = _bytes(body, at)
    value, at = _bytes(body, at)
    count, at = _varint(body, at)
    headers: list[tuple[str, bytes | None]] = []
    for _ in range(count):
        name, at = _bytes(body, at)
        content, at = _bytes(body, at)
        headers.append(((name or b"").decode("utf-8", "surrogateescape"), content))
    if at != end:
        raise CorruptRecordException(f"A record of {length} bytes was read to {at - end} past it")
    appended = batch.timestamp_type == batch.LOG_APPEND_TIME
    return ParsedRecord(
        offset=batch.base_offset + offset_delta,
        timestamp=batch.max_timestamp if appended else batch.first_timestamp + timestamp_delta,
        timestamp_type=batch.timestamp_type,
        key=key,
        value=value,
        headers=headers,
    ), end


def _bytes(body: bytes, at: int) -> tuple[bytes | None, int]:
    length, at = _varint(body, at)
    if length < 0:
        return None, at
    end = at + length
    if end > len(body):
        raise CorruptRecordException(f"{length} bytes announced, {len(body) - at} are there")
    return body[at:end], end


def _varint(body: bytes, at: int) -> tuple[int, int]:
    """A zigzag-encoded number (protocol buffers' sint64) and the place after it."""
    value = shift = 0
    while shift < _MAX_VARINT_BITS:
        byte = body[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value >> 1 ^ -(value & 1), at
        shift += 7
    raise CorruptRecordException("a number does not end")


def use_forgiving_records(patch: Callable[[Any, str, Any], None] = setattr) -> None:
    """Make the aiokafka consumers of this process read batches through here.

    The fetcher takes the reader from its module's names; there is no other seam.
    """
    patch(fetcher, "MemoryRecords", ForgivingRecords)
