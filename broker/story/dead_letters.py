"""Dead letters as they stand in their topic, and which of them a person asks for."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final

import orjson

from broker.log.topic_names import TopicNames
from broker.records.errors import WeighbridgeError
from broker.records.headers import DEAD_LETTER
from broker.records.ids import is_valid_id
from broker.records.incoming import Headers, InputRecord
from broker.records.parsing import parse_prompt
from broker.records.prompt import Catalog
from broker.records.times import from_rfc3339, to_rfc3339
from broker.story.log_reader import LogReader, Progress, input_record
from broker.story.spans import Span

_SAID: Final = ("topic", "partition", "offset", "stage", "error", "message", "attempt", "at")
_ALSO: Final = frozenset({f"{DEAD_LETTER}header-names"})
"""Ours, there only where a header's name was not text."""

Place = tuple[int, int]
"""Partition and offset in the topic of the dead letters."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One dead letter. `partition` and `offset` are its own place, `at` is unix seconds.

    `from_topic`, `from_partition` and `from_offset` say where its record stood (-1: not told).
    `id` is that of the prompt, empty when it cannot be read; `own_id`: its producer gave it.
    """

    partition: int
    offset: int
    at: float
    from_topic: str
    from_partition: int
    from_offset: int
    stage: str
    error: str
    message: str
    attempt: str
    id: str
    own_id: bool
    size: int
    key: bytes | None = field(repr=False)
    value: bytes | None = field(repr=False)
    headers: Headers = field(repr=False)
    """The original ones."""

    @property
    def place(self) -> str:
        """What `dlt show` and `dlt replay` are given: `<partition>-<offset>`."""
        return f"{self.partition}-{self.offset}"

    @property
    def origin(self) -> str:
        """Where the record stood: `topic partition-offset`."""
        return f"{self.from_topic} {self.from_partition}-{self.from_offset}"

    def without_bytes(self) -> "DeadLetter":
        """The same letter without key, value and original headers, to be kept by the thousand."""
        return replace(self, key=None, value=None, headers=())

    def as_json(self) -> dict[str, Any]:
        """What `dlt list --json` prints of it."""
        return {
            "letter": self.place,
            "at": to_rfc3339(self.at),
            "topic": self.from_topic,
            "partition": self.from_partition,
            "offset": self.from_offset,
            "stage": self.stage,
            "error": self.error,
            "message": self.message,
            "attempt": self.attempt,
            "id": self.id or None,
            "bytes": self.size,
        }


class NoSuchLetterError(WeighbridgeError):
    """No dead letter stands at this place."""

    default_code = "no_dead_letter"


def read_letter(record: InputRecord, names: TopicNames, catalog: Catalog) -> DeadLetter:
    """A record of the topic as a dead letter. Never raises, whatever its headers are."""
    said, original = _parted(record.headers)
    topic = said.get("topic", "")
    partition, offset = _number(said.get("partition")), _number(said.get("offset"))
    as_it_was = replace(record, topic=topic, partition=partition, offset=offset, headers=original)
    identity, own = _identity(as_it_was, names, catalog)
    return DeadLetter(
        partition=record.partition,
        offset=record.offset,
        at=_time(said.get("at"), record.timestamp_s),
        from_topic=topic,
        from_partition=partition,
        from_offset=offset,
        stage=said.get("stage", ""),
        error=said.get("error", ""),
        message=said.get("message", ""),
        attempt=said.get("attempt", ""),
        id=identity,
        own_id=own,
        size=len(record.value or b""),
        key=record.key,
        value=record.value,
        headers=original,
    )


def _parted(headers: Headers) -> tuple[dict[str, str], Headers]:
    """What the broker said of the record, and the record's own headers.

    Ours come first; a later one of the same name was the record's own.
    """
    said: dict[str, str] = {}
    original = []
    for name, value in headers:
        word = name.removeprefix(DEAD_LETTER)
        if name in _ALSO:
            continue
        if word != name and word in _SAID and word not in said:
            said[word] = (value or b"").decode("utf-8", "replace")
        else:
            original.append((name, value))
    return said, tuple(original)


def _identity(record: InputRecord, names: TopicNames, catalog: Catalog) -> tuple[str, bool]:
    if record.topic == names.prompts:
        prompt = parse_prompt(record, catalog)
        return prompt.id, prompt.explicit_id
    try:
        told = orjson.loads(record.value or b"")["id"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return "", False
    usable = isinstance(told, str) and is_valid_id(told)
    return (told, True) if usable else ("", False)


def _number(text: str | None) -> int:
    try:
        return int(text or "")
    except ValueError:
        return -1


def _time(text: str | None, otherwise: float) -> float:
    try:
        return from_rfc3339(text or "")
    except ValueError:
        return otherwise


class DeadLetters:
    """The dead letters of one deployment. Every method raises NotReadyError as LogReader does."""

    def __init__(self, reader: LogReader, names: TopicNames, catalog: Catalog) -> None:
        self._reader = reader
        self._names = names
        self._catalog = catalog

    def matching(
        self,
        *,
        since: float | None = None,
        error: str | None = None,
        progress: Progress | None = None,
    ) -> Iterator[DeadLetter]:
        """Those from `since` on (unix seconds) and of this error, in order in each partition."""
        self._reader.require(self._names.dead_letters)
        spans = self._reader.spans(self._names.dead_letters, since=since)
        for batch in self._reader.read(spans, progress):
            for message in batch:
                letter = self._letter(message)
                if error is None or letter.error == error:
                    yield letter

    def newest(
        self,
        most: int,
        *,
        since: float | None = None,
        error: str | None = None,
        progress: Progress | None = None,
    ) -> list[DeadLetter]:
        """The newest `most` of `matching`, the oldest of them first; without their bytes."""
        kept: list[tuple[float, int, int, DeadLetter]] = []
        for letter in self.matching(since=since, error=error, progress=progress):
            entry = (letter.at, letter.partition, letter.offset, letter.without_bytes())
            if len(kept) < most:
                heapq.heappush(kept, entry)
            else:
                heapq.heappushpop(kept, entry)
        return [letter for *_, letter in sorted(kept, key=lambda entry: entry[:3])]

    def between(self, partition: int, start: int, end: int) -> Iterator[DeadLetter]:
        """Those of one partition from the offset `start` up to and without `end`."""
        for span in self._reader.spans(self._names.dead_letters):
            if span.partition == partition:
                asked = Span(span.topic, partition, max(start, span.start), min(end, span.end))
                for batch in self._reader.read([asked]):
                    yield from map(self._letter, batch)

    def at(self, place: Place) -> DeadLetter:
        """The one at this place; raises NoSuchLetterError."""
        self._reader.require(self._names.dead_letters)
        message = self._reader.one(self._names.dead_letters, *place)
        if message is None:
            raise NoSuchLetterError(
                f"No dead letter is at {place[0]}-{place[1]} of {self._names.dead_letters}.",
                mend="`weighbridge dlt list` shows them with their places.",
            )
        return self._letter(message)

    def original(self, letter: DeadLetter) -> bytes | None:
        """The bytes of the letter's record, read where it stood when the letter has none.

        None when the record had none, or when they are not there any more.
        """
        if letter.value is not None or letter.from_partition < 0 or letter.from_offset < 0:
            return letter.value
        message = self._reader.one(letter.from_topic, letter.from_partition, letter.from_offset)
        return None if message is None else input_record(message).value

    def _letter(self, message: Any) -> DeadLetter:
        return read_letter(input_record(message), self._names, self._catalog)
