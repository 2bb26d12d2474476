"""What a worker writes outside its transactions, without Kafka: the journal and the chunks."""

import asyncio

from broker.records.calls import CallEvent
from broker.records.chunk import Chunk, decode_chunk
from broker.records.errors import NotReadyError


class Journal:
    """The call journal without Kafka: what was written, and whether it takes anything."""

    def __init__(self) -> None:
        self.events: list[CallEvent] = []
        self.refuses = False
        self.stuck = False

    def started(self, event: CallEvent) -> asyncio.Future[None]:
        """As the real one: on its way at once, acknowledged or refused when awaited."""
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.refuses:
            written.set_exception(NotReadyError("No broker.", code="kafka_unreachable"))
            written.exception()
            return written
        self.events.append(event)
        if not self.stuck:
            written.set_result(None)
        return written

    def ended(self, event: CallEvent) -> None:
        """Noted."""
        self.events.append(event)

    def of(self, event: str) -> list[CallEvent]:
        """The `started` or the `ended` ones."""
        return [each for each in self.events if each.event == event]


class Chunks:
    """The topic of chunks without Kafka: what was published, and whether it takes anything."""

    def __init__(self) -> None:
        self.taken: list[Chunk] = []
        self.is_full = False
        self.tries = 0

    def partition_of(self, _prompt_id: str) -> int:
        """There is only one."""
        return 0

    def publish(
        self, _partition: int, key: bytes, value: bytes, _headers: list[tuple[str, bytes]]
    ) -> bool:
        """Noted, unless it is full."""
        self.tries += 1
        if not self.is_full:
            self.taken.append(decode_chunk(value))
            assert self.taken[-1].id.encode() == key
        return not self.is_full

    def serve(self) -> int:
        """Nothing waits."""
        return 0
