"""Puts Gemini's streamed answer together again: `streamGenerateContent?alt=sse`."""

from typing import Any, Final

import orjson

from broker.records.usage import Usage
from broker.records.work import Work
from workers.providers.dialect import Answer, CutStreamError, MalformedReplyError, Piece
from workers.providers.event_stream import EventStream
from workers.providers.gemini_errors import error_in
from workers.providers.gemini_reply import ChatReading

_LONGEST_ERROR: Final = 64 * 1024
_FIELDS: Final = (b"data:", b"event:", b"id:", b"retry:", b":")
_ENDS: Final = (b"}", b"]")


class GeminiAssembler:
    """Chunks of an answer in, one `chat.completion` out.

    There is no `[DONE]`: an answer is whole when its candidate has a reason to finish, which the
    official client does not ask for. Its usage may come in a chunk after that.
    """

    __slots__ = ("_events", "_reading")

    def __init__(self, work: Work) -> None:
        self._events = _Events()
        self._reading = ChatReading(work)

    @property
    def begun(self) -> bool:
        """Whether text, a thought or a call has come."""
        return self._reading.begun

    @property
    def ended(self) -> bool:
        """Whether the answer is whole and counted."""
        return self._reading.whole and self._reading.counted

    @property
    def usage(self) -> Usage:
        """What the chunks have said so far; the last one counts everything."""
        return self._reading.usage

    def feed(self, data: bytes) -> list[Piece]:
        """Take the next bytes; raises ErrorReply for an error in the stream."""
        pieces: list[Piece] = []
        for event in self._events.feed(data):
            if self.ended:
                break
            for chunk in _chunks(event):
                pieces.extend(self._reading.take(chunk))
        return pieces

    def answer(self) -> Answer:
        """The whole answer; raises CutStreamError when it has not ended."""
        if not self._reading.whole:
            self._events.raise_last_error()
            raise CutStreamError("The stream ended before its answer had a reason to finish.")
        return self._reading.answer()


class _Events(EventStream):
    """Events, and the JSON that Google writes between them, without `data:`, when it gives up.

    An error comes indented, line by line, and its last line may have no end.
    """

    __slots__ = ("_bare", "_bare_size")

    def __init__(self) -> None:
        super().__init__()
        self._bare: list[bytes] = []
        self._bare_size = 0

    def raise_last_error(self) -> None:
        """Raise the error that the body ended with, if it did."""
        last = self._rest.removeprefix(b"data:")
        for text in (b"\n".join([*self._bare, self._rest]), last):
            try:
                chunks = _chunks(text)
            except MalformedReplyError:
                continue
            for chunk in chunks:
                if isinstance(chunk, dict) and chunk.get("error"):
                    raise error_in(chunk, 200)

    def _line(self, line: bytes) -> bytes | None:
        if not line or line.startswith(_FIELDS):
            return super()._line(line)
        self._bare.append(line)
        self._bare_size += len(line) + 1
        if self._bare_size > _LONGEST_ERROR:
            raise MalformedReplyError("The stream holds lines that are no events.")
        if not line.rstrip().endswith(_ENDS):
            return None
        text = b"\n".join(self._bare)
        try:
            orjson.loads(text)
        except orjson.JSONDecodeError:
            return None
        self._bare = []
        self._bare_size = 0
        return text


def _chunks(event: bytes) -> list[Any]:
    try:
        data = orjson.loads(event)
    except orjson.JSONDecodeError as error:
        raise MalformedReplyError("A chunk of the stream is not JSON.") from error
    return data if isinstance(data, list) else [data]
