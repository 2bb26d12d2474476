"""Streamed answers on their way to `llm.chunks`: joined for a moment, published, never waited for.

The first piece of an answer goes out at once. What comes after it is held for at most `every_s`:
all streams that hold something are published in one turn, so that there are few requests to
Kafka, which cost more than the records in them. While the publisher takes nothing, pieces are
joined further: nothing is dropped, and what is held is bounded by the answers themselves.
"""

import asyncio
import time
from typing import Final, Protocol

from broker.records.chunk import CallName
from broker.records.work import Work
from workers.answer_stream import AnswerStream
from workers.tallies import Tallies

LOOK_S: Final = 0.1
"""After the publisher took nothing, it is asked again so late; and so late it is heard of what was
written, when nothing else is to be done."""
KEEP_S: Final = 10.0
"""How long what is left of an ended stream is kept for a publisher that takes nothing."""


class Publisher(Protocol):
    """What of the publisher of chunks is needed here."""

    def partition_of(self, prompt_id: str) -> int:
        """Where all chunks of a prompt go."""

    def publish(
        self, partition: int, key: bytes, value: bytes, headers: list[tuple[str, bytes]]
    ) -> bool:
        """Hand over one record; False when it cannot be taken now."""

    def serve(self) -> int:
        """Hear what became of records; how many still wait."""


class Streams:
    """All streams of a worker. Made and used inside the event loop."""

    def __init__(
        self, publisher: Publisher, provider: str, every_s: float, tallies: Tallies
    ) -> None:
        self._publisher = publisher
        self._provider = provider
        self._every_s = every_s
        self._tallies = tallies
        self._loop = asyncio.get_running_loop()
        self._holding: dict[AnswerStream, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_after_s = 0.0
        self._full = False
        self._published = 0

    def begin(self, work: Work, attempt: int, began: float) -> AnswerStream:
        """A call for this work begins now; its pieces go to what is returned."""
        stream = AnswerStream(
            work,
            CallName(attempt, began),
            self._provider,
            self._publisher.partition_of(work.id),
            self,
        )
        if self._full:
            # Behind what an earlier call of the same prompt may still hold: a reader goes by order.
            self._holding[stream] = None
        else:
            stream.started()
        self._arm(LOOK_S)
        return stream

    def publish(self, stream: AnswerStream, value: bytes, headers: list[tuple[str, bytes]]) -> bool:
        """Hand over one record of a stream; False when it has to be tried again."""
        taken = self._publisher.publish(stream.partition, stream.key, value, headers)
        self._published += taken
        return taken

    def lost(self) -> None:
        """A piece could not become a record."""
        self._tallies.chunks("lost")

    def came(self, stream: AnswerStream) -> None:
        """A stream has something to publish: at once when it is the first, else in its turn."""
        if stream in self._holding:
            return
        if not stream.shows and not self._full:
            stream.shows = True
            if stream.flush():
                self._arm(self._every_s)
                return
            self._is_full()
        self._holding[stream] = None
        self._arm(LOOK_S if self._full else self._every_s)

    def ended(self, stream: AnswerStream) -> None:
        """A stream is over: what it holds goes out now, or as soon as it is taken."""
        if not self._full:
            self._holding.pop(stream, None)
            stream.shows = False
        self.came(stream)

    def close(self) -> None:
        """Publish what is held, as far as it is taken; nothing more comes."""
        self._turn()
        if self._timer is not None:
            self._timer.cancel()

    def _turn(self) -> None:
        self._timer = None
        self._full = False
        self._publisher.serve()  # first: what is written but not heard of takes room
        for stream in list(self._holding):
            if not stream.flush():
                self._is_full()
                break
            del self._holding[stream]
        if self._full:
            self._forget(time.time() - KEEP_S)
        if self._published:
            self._tallies.chunks("published", self._published)
            self._published = 0
        if self._holding or self._publisher.serve():
            self._arm(LOOK_S)

    def _is_full(self) -> None:
        self._full = True
        self._tallies.chunks("held")

    def _forget(self, before: float) -> None:
        """Give up what streams hold that ended before this time: nobody reads on with them."""
        for stream in [s for s in self._holding if s.ended_at is not None and s.ended_at < before]:
            del self._holding[stream]
            self.lost()

    def _arm(self, after_s: float) -> None:
        if self._timer is not None:
            if self._timer_after_s <= after_s:
                return  # it comes soon enough
            self._timer.cancel()
        self._timer_after_s = after_s
        self._timer = self._loop.call_later(after_s, self._turn)
