"""Completions as they are committed, and streamed answers as they grow, live."""

from dataclasses import dataclass, field

from broker.log.topic_names import TopicNames
from broker.records.chunk import Chunk, decode_chunk
from broker.records.completion import Completion, decode_completion
from broker.records.errors import BadRecordError
from broker.settings import Settings
from broker.story.live_topics import LiveTopics


@dataclass(frozen=True, slots=True)
class Followed:
    """One completion and the bytes it was read from."""

    completion: Completion
    value: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class FollowedChunk:
    """One piece of a streamed answer and the bytes it was read from."""

    chunk: Chunk
    value: bytes = field(repr=False)


class CompletionFollower(LiveTopics):
    """Follows the completions; everything else is as LiveTopics does it.

    With `streams` the pieces of streamed answers too, from now on.
    """

    def __init__(
        self, settings: Settings, *, since: float | None = None, streams: bool = False
    ) -> None:
        names = TopicNames(settings.kafka.prefix)
        topics = (names.completions, names.chunks) if streams else (names.completions,)
        super().__init__(settings, topics, since=since)
        self._chunks = names.chunks
        self.unreadable = 0
        """Records so far that were not in the contract's form."""
        self.pieces: list[FollowedChunk] = []
        """What the last `poll` has found of streamed answers, each answer's in its order."""

    def poll(self, timeout_s: float) -> list[Followed]:
        """What has come, by time of completion; else as `messages`."""
        batch, self.pieces = [], []
        for message in self.messages(timeout_s):
            value = message.value() or b""
            try:
                if message.topic() == self._chunks:
                    self.pieces.append(FollowedChunk(decode_chunk(value), value))
                else:
                    batch.append(Followed(decode_completion(value), value))
            except BadRecordError:
                self.unreadable += 1
        return sorted(batch, key=lambda one: one.completion.completed_at)
