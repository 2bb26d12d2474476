"""What the headers of a prompt's record say to us."""

from broker.records.field_rules import InvalidField
from broker.records.headers import ACCEPTED_AT, ORIGIN
from broker.records.incoming import InputRecord
from broker.records.prompt import Catalog
from broker.records.times import from_rfc3339

MAX_PARTITION_DIGITS = 9
READ_HEADERS = frozenset({"traceparent", "tracestate", "reply-partition", "content-type"})


def check_headers(record: InputRecord) -> None:
    """Those that are read have values of text; raises InvalidField."""
    for name, value in record.headers:
        if value is not None and (name in READ_HEADERS or name.startswith("ce_")):
            try:
                value.decode()
            except UnicodeDecodeError as error:
                raise InvalidField(
                    "invalid_header", f"The header {name[:64]!r} is not UTF-8 text."
                ) from error


def reply_partition_of(record: InputRecord, catalog: Catalog) -> int | None:
    """Where the completion is awaited, or None; raises InvalidField."""
    text = text_or_none(record.header("reply-partition"))
    if text is None:
        return None
    bound = catalog.completion_partitions
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_PARTITION_DIGITS):
        raise InvalidField("invalid_reply_partition", "`reply-partition` must be a decimal number.")
    if bound is not None and int(text) >= bound:
        raise InvalidField(
            "invalid_reply_partition", f"`reply-partition` must be from 0 to {bound - 1}."
        )
    return int(text)


def accepted_at_of(record: InputRecord) -> float:
    """When the prompt was first accepted (unix seconds)."""
    if record.header(ORIGIN) is None:
        return record.timestamp_s
    first = text_or_none(record.header(ACCEPTED_AT))
    try:
        return min(from_rfc3339(first), record.timestamp_s) if first else record.timestamp_s
    except ValueError:
        return record.timestamp_s


def text_or_none(value: bytes | None) -> str | None:
    """The text, or None where there is none that is UTF-8."""
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None
