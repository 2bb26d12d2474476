"""What a reader of `llm.chunks` makes of one prompt's records, in the order they stand there. Pure.

1. Of a prompt's calls the one that began last counts: with the first record of a call that was not
   seen before, all pieces of the calls before are void, and what still comes of those is dropped.
   The order is that of the partition, so no clock decides.
2. A call that has `failed` does not count either; nothing stands until the next one begins.
3. Inside a call `seq` counts from 0: what has been seen is dropped, and where one is missing the
   text has a gap.
4. The completion is the truth. Pieces are for showing an answer while it grows.
"""

from enum import Enum

from broker.records.chunk import CallName, Chunk


class Step(Enum):
    """What a record was to the answer.

    STARTED: the first call begins. AGAIN: another call begins, and what stood is void. ADDED: a
    piece of the answer. ENDED: the answer is over. FAILED: what stood is void. DROPPED: nothing.
    """

    STARTED = "started"
    AGAIN = "again"
    ADDED = "added"
    ENDED = "ended"
    FAILED = "failed"
    DROPPED = "dropped"


class ChunkReader:
    """One prompt's streamed answer as it grows."""

    __slots__ = ("_calls", "_choices", "_ended", "_failed", "_next", "call", "has_gap", "provider")

    def __init__(self) -> None:
        self.call: CallName | None = None
        """The call that counts now."""
        self.provider = ""
        """Who answers it."""
        self.has_gap = False
        """Whether a record of it is missing, so that only the completion has the whole text."""
        self._calls: set[CallName] = set()
        self._choices: dict[int, list[str]] = {}
        self._next = 0
        self._ended = self._failed = False

    @property
    def whole(self) -> bool:
        """Whether all of the answer is here, to its end."""
        return self._ended and not self.has_gap

    @property
    def text(self) -> str:
        """The text of the first choice, as far as it has come."""
        return self.text_of(0)

    def text_of(self, index: int) -> str:
        """The text of a choice, as far as it has come."""
        return "".join(self._choices.get(index, ()))

    def take(self, chunk: Chunk) -> Step:
        """Take the next record of this prompt."""
        began = None
        if chunk.call != self.call:
            if chunk.call in self._calls:
                return Step.DROPPED
            began = Step.AGAIN if self._calls else Step.STARTED
            self._begin(chunk)
        if chunk.seq < self._next or self._failed or self._ended:
            return Step.DROPPED
        self.has_gap = self.has_gap or chunk.seq > self._next
        self._next = chunk.seq + 1
        return self._add(chunk, began)

    def _begin(self, chunk: Chunk) -> None:
        self.call, self.provider = chunk.call, chunk.provider
        self._calls.add(chunk.call)
        self._choices = {}
        self._next = 0
        self.has_gap = self._ended = self._failed = False

    def _add(self, chunk: Chunk, began: Step | None) -> Step:
        if chunk.event == "failed":
            self._failed = True
            self._choices = {}
            return Step.FAILED
        if chunk.event == "ended":
            self._ended = True
            return began or Step.ENDED
        content = None if chunk.delta is None else chunk.delta.get("content")
        if chunk.index is not None and isinstance(content, str) and content:
            self._choices.setdefault(chunk.index, []).append(content)
        return began or Step.ADDED
