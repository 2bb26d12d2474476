"""A Kafka message of a work topic as a job, or as what it is instead of one."""

from typing import Any

from broker.core.lanes import Lane
from broker.records.errors import BadRecordError
from broker.records.incoming import Headers
from broker.records.work import decode_work
from workers.job import Arrival, Job, Place, UnreadableWork

_OVERHEAD = 64
"""Bytes that a record costs beside its key and value, so that empty ones are not free."""


def arrival(message: Any, epoch: int, lane: Lane) -> Arrival:
    """Read one message; `lane` is the one its partition belongs to."""
    value: bytes | None = message.value()
    key: bytes | None = message.key()
    headers = headers_of(message)
    place = Place(message.topic(), message.partition(), message.offset(), epoch)
    size = _OVERHEAD + len(value or b"") + len(key or b"")
    size += sum(len(name) + len(text) for name, text in headers)
    try:
        work = decode_work(value, headers)
    except BadRecordError as error:
        return UnreadableWork(place, lane, size, key, value, headers, error.code, error.message)
    return Job(place, lane, size, work, calls=work.attempt)


def headers_of(message: Any) -> Headers:
    """The headers; one that has no value is empty. Names that are not UTF-8 lose all of them."""
    try:
        return tuple((name, value or b"") for name, value in message.headers() or ())
    except UnicodeDecodeError:
        return ()
