"""What a reader of the chunks makes of each prompt, against its completion."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field

from broker.core.chunk_reading import ChunkReader, Step
from broker.log.topic_names import TopicNames
from broker.records.chunk import CallName, Chunk, decode_chunk
from broker.records.completion import Completion, decode_completion
from broker.settings import Settings
from broker.story.log_reader import LogReader


@dataclass(slots=True)
class Streamed:
    """One prompt as its chunks tell it. `voided` counts calls whose pieces became void.

    `repeated` counts those among them that ended without a word, so that they were killed.
    """

    reader: ChunkReader = field(default_factory=ChunkReader)
    calls: list[CallName] = field(default_factory=list)
    voided: int = 0
    repeated: int = 0
    records: int = 0

    def take(self, chunk: Chunk) -> None:
        """The next record of the log."""
        self.records += 1
        before = self.reader.text
        step = self.reader.take(chunk)
        if step in (Step.STARTED, Step.AGAIN):
            self.calls.append(chunk.call)
        if step in (Step.AGAIN, Step.FAILED) and before:
            self.voided += 1
            self.repeated += step is Step.AGAIN


def streamed(settings: Settings) -> dict[str, Streamed]:
    """Every prompt that has chunks, read in the order of the log."""
    found: defaultdict[str, Streamed] = defaultdict(Streamed)
    with LogReader(settings) as reader:
        for batch in reader.read(reader.spans(TopicNames(settings.kafka.prefix).chunks)):
            for message in batch:
                chunk = decode_chunk(message.value())
                assert message.key() == chunk.id.encode()
                found[chunk.id].take(chunk)
    return dict(found)


def completions(settings: Settings) -> dict[str, Completion]:
    """Every prompt's completion."""
    with LogReader(settings) as reader:
        spans = reader.spans(TopicNames(settings.kafka.prefix).completions, settled=True)
        return {
            one.id: one
            for batch in reader.read(spans)
            for one in (decode_completion(message.value()) for message in batch)
        }


def expect_same_texts(
    settings: Settings, *, unfinished: int, of: Collection[str] | None = None
) -> dict[str, Streamed]:
    """Each answer that succeeded (`of` these prompts, or of all) is what its chunks say.

    A worker that is killed just after a commit may leave the last records of these streams
    unwritten: at most so many are `unfinished`, and what they have is the answer's beginning.
    """
    chunks = streamed(settings)
    not_whole = []
    for identity, done in completions(settings).items():
        if done.status != "succeeded" or (of is not None and identity not in of):
            continue
        found = chunks[identity].reader
        assert done.text is not None
        if found.whole:
            assert found.text == done.text, f"{identity}: {chunks[identity].calls}"
        else:
            not_whole.append(identity)
            assert found.has_gap or done.text.startswith(found.text), identity
    assert len(not_whole) <= unfinished, not_whole
    return chunks
