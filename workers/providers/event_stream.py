"""Server-sent events without I/O: bytes in, cut anywhere, the data of whole events out.

https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

from typing import Final

from workers.providers.dialect import MalformedReplyError

MAX_EVENT_BYTES: Final = 16 * 1024 * 1024
"""Longest event that is believed; a provider that never ends a line must not fill the memory."""

_BOM: Final = b"\xef\xbb\xbf"


class EventStream:
    """Splits an event stream. Only `data` matters to any dialect; names and ids are skipped."""

    __slots__ = ("_after_cr", "_data", "_rest", "_size", "_started")

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self._size = 0
        self._started = False
        self._after_cr = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """Data of the events that these bytes complete; raises MalformedReplyError."""
        if self._after_cr and chunk:
            # A CR ended the last line; an LF right after it belongs to the same end.
            self._after_cr = False
            chunk = chunk.removeprefix(b"\n")
        data = self._rest + chunk
        if not self._started:
            if len(data) < len(_BOM) and _BOM.startswith(data):
                self._rest = data
                return []
            data = data.removeprefix(_BOM)
            self._started = True
        if b"\r" in data:
            self._after_cr = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, self._rest = data.split(b"\n")
        events = []
        for line in lines:
            event = self._line(line)
            if event is not None:
                events.append(event)
        if self._size + len(self._rest) > MAX_EVENT_BYTES:
            raise MalformedReplyError(
                f"An event of the stream is longer than {MAX_EVENT_BYTES} bytes.",
                code="answer_too_large",
            )
        return events

    def _line(self, line: bytes) -> bytes | None:
        if not line:
            event = b"\n".join(self._data) if self._data else None
            self._data = []
            self._size = 0
            return event
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
            self._size += len(value) + 1  # an empty line takes its place too
        return None
