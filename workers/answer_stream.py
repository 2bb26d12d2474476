"""The records of one streamed call: what it holds, and how that becomes chunks of a good size."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import orjson

from broker.core.deltas import Delta, is_empty, join_deltas, split_delta
from broker.records.calls import Outcome
from broker.records.chunk import CallName, Chunk, ChunkEvent, chunk_headers, encode_chunk
from broker.records.headers import echoed
from broker.records.incoming import Headers
from broker.records.usage import Usage
from broker.records.work import Work
from workers.providers.dialect import Piece

MOST_BYTES: Final = 900_000
"""Largest value of a record: below the topic's limit, with room for headers and the batch."""
_JOIN_FROM: Final = 1_000
"""So many deltas that wait become one, so that they cost no more than their text."""


class Turns(Protocol):
    """Who says when a stream publishes, and takes its records."""

    def publish(self, stream: "AnswerStream", value: bytes, headers: Headers) -> bool:
        """Hand over one record; False when it has to be tried again."""

    def lost(self) -> None:
        """A piece could not become a record."""

    def came(self, stream: "AnswerStream") -> None:
        """The stream has something to publish."""

    def ended(self, stream: "AnswerStream") -> None:
        """The stream has its last record."""


@dataclass(slots=True)
class _Held:
    """What a choice has brought since it was last published."""

    deltas: list[Delta] = field(default_factory=list)
    finish_reason: str | None = None


class AnswerStream:
    """One call's pieces. Used on the event loop; nothing here fails for want of Kafka."""

    def __init__(
        self, work: Work, call: CallName, provider: str, partition: int, turns: Turns
    ) -> None:
        self.partition = partition
        self.key = work.id.encode()
        self.published_at = 0.0
        """The loop's time of the last turn in which pieces went out."""
        self.ended_at: float | None = None
        self._work = work
        self._call = call
        self._provider = provider
        self._turns = turns
        self._echo = echoed(work.headers)
        self._seq = 0
        self._held: dict[int, _Held] = {}
        self._last: dict[str, Any] | None = None

    def started(self) -> None:
        """The call goes out: all pieces of earlier calls are void."""
        if not self.flush():
            self._turns.came(self)

    def take(self, pieces: Sequence[Piece]) -> None:
        """More of the answer has come."""
        shows = False
        for piece in pieces:
            held = self._held.get(piece.index)
            if held is None:
                held = self._held[piece.index] = _Held()
            held.deltas.append(piece.delta)
            if len(held.deltas) >= _JOIN_FROM:
                held.deltas = [join_deltas(held.deltas)]
            if piece.finish_reason is not None:
                held.finish_reason = piece.finish_reason
                shows = True
            shows = shows or not is_empty(piece.delta)
        # A role alone would take the place of the first token, which goes out at once.
        if shows:
            self._turns.came(self)

    def end(
        self,
        outcome: Outcome,
        *,
        answered: bool,
        finish_reason: str | None = None,
        usage: Usage | None = None,
        code: str | None = None,
    ) -> None:
        """The call is over; `answered` says whether its pieces are an answer, or void."""
        self.ended_at = time.time()
        if not answered:
            self._held = {}
        event: ChunkEvent = "ended" if answered else "failed"
        said = {"finish_reason": finish_reason, "usage": usage, "outcome": outcome, "code": code}
        self._last = {"event": event, **said}
        self._turns.ended(self)

    def flush(self) -> bool:
        """Publish what is held; False when not all of it was taken, so that some is left."""
        if self._seq == 0 and not self._mark(event="started"):
            return False
        for index in list(self._held):
            if not self._pieces(index, self._held[index]):
                return False
            del self._held[index]
        if self._last is not None and self._mark(**self._last):
            self._last = None
        return self._last is None

    def _mark(self, **said: Any) -> bool:
        chunk = self._chunk(**said)
        return self._publish(chunk, encode_chunk(chunk))

    def _pieces(self, index: int, held: _Held) -> bool:
        """Publish what a choice holds in as few records as the topic's limit allows."""
        while held.deltas:
            count = len(held.deltas)
            chunk, value = self._piece(index, held, count)
            while not 0 < len(value) <= MOST_BYTES and count > 1:
                count //= 2
                chunk, value = self._piece(index, held, count)
            if not 0 < len(value) <= MOST_BYTES:
                halves = split_delta(held.deltas[0]) if value else None
                if halves is None:
                    self._turns.lost()
                    self._seq += 1  # so that a reader sees that something is missing
                held.deltas[:1] = halves or ()
                continue
            if not self._publish(chunk, value):
                return False
            del held.deltas[:count]
        return True

    def _piece(self, index: int, held: _Held, count: int) -> tuple[Chunk, bytes]:
        """The first `count` deltas as one record; no bytes when JSON cannot say them."""
        last = count == len(held.deltas)
        chunk = self._chunk(
            event="piece",
            index=index,
            delta=join_deltas(held.deltas[:count]),
            finish_reason=held.finish_reason if last else None,
        )
        try:
            return chunk, encode_chunk(chunk)
        except orjson.JSONEncodeError:
            return chunk, b""

    def _publish(self, chunk: Chunk, value: bytes) -> bool:
        if not self._turns.publish(self, value, chunk_headers(chunk, self._echo)):
            return False
        self._seq += 1
        return True

    def _chunk(self, event: ChunkEvent, **more: Any) -> Chunk:
        work = self._work
        return Chunk(
            id=work.id,
            tenant=work.tenant,
            provider=self._provider,
            model=work.model,
            call=self._call,
            seq=self._seq,
            event=event,
            at=time.time(),
            **more,
        )
