"""The records of one streamed call: what it holds, and how that becomes chunks of a good size."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

import orjson

from broker.core.deltas import Delta, is_empty, join_deltas, split_delta
from broker.records.calls import Outcome
from broker.records.chunk import CallName, ChunkEvent, ChunkWriter
from broker.records.usage import Usage
from broker.records.work import Work
from workers.providers.dialect import Piece

MOST_BYTES: Final = 900_000
"""Largest value of a record: below the topic's limit, with room for headers and the batch."""
_JOIN_FROM: Final = 1_000
"""So many deltas that wait become one, so that they cost no more than their text."""


class Turns(Protocol):
    """Who says when a stream publishes, and takes its records."""

    def publish(
        self, stream: "AnswerStream", value: bytes, headers: list[tuple[str, bytes]]
    ) -> bool:
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


@dataclass(frozen=True, slots=True)
class _End:
    """How the call ended."""

    event: Literal["ended", "failed"]
    outcome: Outcome
    finish_reason: str | None
    usage: Usage | None
    code: str | None


class AnswerStream:
    """One call's pieces. Used on the event loop; nothing here fails for want of Kafka."""

    def __init__(
        self, work: Work, call: CallName, provider: str, partition: int, turns: Turns
    ) -> None:
        self.partition = partition
        self.shows = False
        """Whether any of the answer has been published."""
        self.ended_at: float | None = None
        self._turns = turns
        self._writer = ChunkWriter(
            prompt_id=work.id,
            tenant=work.tenant,
            provider=provider,
            model=work.model,
            call=call,
            headers=work.headers,
        )
        self._seq = 0
        self._held: dict[int, _Held] = {}
        self._end: _End | None = None

    @property
    def key(self) -> bytes:
        """The key of its records."""
        return self._writer.key

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
            elif not shows:
                shows = not is_empty(piece.delta)
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
        event: Literal["ended", "failed"] = "ended" if answered else "failed"
        self._end = _End(event, outcome, finish_reason, usage, code)
        self._turns.ended(self)

    def flush(self) -> bool:
        """Publish what is held; False when not all of it was taken, so that some is left."""
        now, writer = time.time(), self._writer
        if self._seq == 0 and not self._publish("started", writer.started(0, now)):
            return False
        while self._held:
            index, held = next(iter(self._held.items()))
            if not self._pieces(index, held, now):
                return False
            del self._held[index]
        end = self._end
        if end is None:
            return True
        value = writer.last(
            self._seq,
            end.event,
            now,
            finish_reason=end.finish_reason,
            outcome=end.outcome,
            code=end.code,
            usage=end.usage,
        )
        if not self._publish(end.event, value):
            return False
        self._end = None
        return True

    def _pieces(self, index: int, held: _Held, now: float) -> bool:
        """Publish what a choice holds in as few records as the topic's limit allows."""
        while held.deltas:
            count = len(held.deltas)
            value = self._piece(index, held, count, now)
            while not 0 < len(value) <= MOST_BYTES and count > 1:
                count //= 2
                value = self._piece(index, held, count, now)
            if not 0 < len(value) <= MOST_BYTES:
                halves = split_delta(held.deltas[0]) if value else None
                if halves is None:
                    self._turns.lost()
                    self._seq += 1  # so that a reader sees that something is missing
                held.deltas[:1] = halves or ()
                continue
            if not self._publish("piece", value):
                return False
            del held.deltas[:count]
        return True

    def _piece(self, index: int, held: _Held, count: int, now: float) -> bytes:
        """The first `count` deltas as one record; no bytes when JSON cannot say them."""
        deltas = held.deltas
        last = count == len(deltas)
        delta = join_deltas(deltas if last else deltas[:count])
        finish_reason = held.finish_reason if last else None
        try:
            return self._writer.piece(self._seq, now, index, delta, finish_reason)
        except orjson.JSONEncodeError:
            return b""

    def _publish(self, event: ChunkEvent, value: bytes) -> bool:
        if not self._turns.publish(self, value, self._writer.headers(self._seq, event)):
            return False
        self._seq += 1
        return True
