"""Header names that cannot be written again as they came.

Kafka's protocol says that a header's name is UTF-8, and no broker checks it. librdkafka's Python
binding takes names as text without a NUL. A record with another name is rejected; its dead letter
carries the names as near as can be, and the exact bytes beside them.
"""

from broker.records.incoming import Headers

EXACT_NAMES = "dlt-header-names"
"""Hexadecimal bytes of every original name, in order, joined by commas."""

_REPLACEMENT = "\ufffd"


def is_writable(name: str) -> bool:
    """Whether a name is text that means the same when it is written again.

    U+FFFD is what a reader put in the place of bytes that it could not decode.
    """
    if name.isascii():
        return "\x00" not in name
    return _REPLACEMENT not in name and not any("\ud800" <= char <= "\udfff" for char in name)


def all_writable(headers: Headers) -> bool:
    """Whether every name is."""
    return all(is_writable(name) for name, _ in headers)


def writable(headers: Headers) -> Headers:
    """The same headers, with U+FFFD where a name had bytes that are not text."""
    return tuple(
        (
            name
            if is_writable(name)
            else _original(name).decode("utf-8", "replace").replace("\x00", _REPLACEMENT),
            value,
        )
        for name, value in headers
    )


def exact_names(headers: Headers) -> bytes:
    """The value of `EXACT_NAMES`."""
    return ",".join(_original(name).hex() for name, _ in headers).encode()


def _original(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")
