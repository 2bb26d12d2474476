"""Finding what the topics hold of one prompt, without reading all of them.

The prompts' topic is read in the id's home partition. The other topics are read from when the id
was first accepted, and up to a while after its completion once that is found.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

from broker.core.dedupe import home_partition
from broker.log.group_names import classifier_group, worker_group
from broker.log.topic_names import TopicNames
from broker.records import headers as names
from broker.records.calls import CallEvent, decode_call
from broker.records.completion import decode_completion
from broker.records.control import decode_control
from broker.records.errors import BadRecordError, WeighbridgeError
from broker.records.ids import is_place_id, is_valid_id
from broker.records.incoming import InputRecord
from broker.records.parsing import parse_prompt
from broker.records.work import decode_work
from broker.settings import Settings
from broker.story.audit_run import SKEW_S, progress_of
from broker.story.dead_letters import read_letter
from broker.story.log_reader import LogReader, Progress, input_record
from broker.story.spans import Span
from broker.story.trace import Story

LOOK_AHEAD_S: Final = (600.0, 21_600.0)
"""How far after the acceptance a completion is looked for, before all of the topic is read."""


class UnknownIdError(WeighbridgeError):
    """No prompt has this id."""

    default_code = "unknown_id"


class Finding:
    """What the topics have of one id. Each method reads one kind of record into `story`.

    Raises UnknownIdError at once when no prompt can have the id, and NotReadyError when the cluster
    or its topics are not there.
    """

    def __init__(
        self,
        settings: Settings,
        reader: LogReader,
        identity: str,
        progress: Progress | None = None,
    ) -> None:
        if not is_valid_id(identity):
            raise UnknownIdError(f"No prompt can have the id {identity!r}.")
        self._reader = reader
        self._id = identity
        self._needle = identity.encode()
        self._topics = TopicNames(settings.kafka.prefix)
        self._prefix = settings.kafka.prefix
        self._catalog = settings.catalog()
        self._progress = progress
        self._work_topics = reader.work_topics(self._topics, settings.providers)
        self.story = Story(identity, settings.dedupe.window_s)
        self.calls: list[CallEvent] = []
        self._partitions = reader.require(self._topics.prompts)

    @property
    def start(self) -> float:
        """When the id was first accepted, less what clocks may differ by (unix seconds)."""
        return self.story.first_at - SKEW_S

    def prompts(self) -> None:
        """The prompts' topic; raises UnknownIdError when it has none with the id."""
        self._prompts()
        if not self.story.prompts:
            raise UnknownIdError(
                f"No prompt in {self._topics.prompts} has the id {self._id!r} (any more)."
            )

    def works(self, end: float | None = None) -> None:
        """The work topics of all providers, up to `end` (unix seconds; None: all)."""
        for topic in self._work_topics.values():
            for record in self._keyed(self._reader.spans(topic, since=self.start, until=end)):
                self._take(record, lambda one: self.story.work(one, decode_work(one.value)))

    def journal(self, end: float | None = None) -> None:
        """The journal of calls, as `works`."""
        spans = self._reader.spans(self._topics.calls, since=self.start, until=end)
        for record in self._keyed(spans):
            self._take(record, self._call)

    def _call(self, record: InputRecord) -> None:
        call = decode_call(record.value)
        self.calls.append(call)
        self.story.call(record, call)

    def _prompts(self) -> None:
        if is_place_id(self._id):
            partition, offset = (int(part) for part in self._id.split("-"))
            message = self._reader.one(self._topics.prompts, partition, offset)
            if message is not None:
                self._prompt(input_record(message))
            return
        spans = self._reader.spans(self._topics.prompts)
        home = home_partition(self._id, self._partitions)
        self._search([span for span in spans if span.partition == home])
        if not self.story.prompts:
            # It may wait elsewhere for the classifier to forward it.
            self._search([span for span in spans if span.partition != home])

    def _search(self, spans: list[Span]) -> None:
        found = []
        for batch in self._reader.read(spans, self._progress):
            for message in batch:
                value = message.value() or b""
                # Cheap, and right: else the id stands in a header, or behind JSON's escapes.
                if self._needle in value or b"\\u" in value or message.headers():
                    found.append(input_record(message))
        for record in found:
            self._prompt(record)

    def _prompt(self, record: InputRecord) -> None:
        prompt = parse_prompt(record, self._catalog)
        if prompt.id != self._id:
            return
        given = record.header(names.ORIGIN)
        origin = None if given is None else given.decode("ascii", "replace")
        home = home_partition(self._id, self._partitions)
        if origin is not None and is_place_id(origin):
            partition, offset = (int(part) for part in origin.split("-"))
            message = self._reader.one(self._topics.prompts, partition, offset)
            if message is not None:
                first = input_record(message)
                self.story.prompt(first, parse_prompt(first, self._catalog), away=True)
        away = prompt.explicit_id and origin is None and record.partition != home
        self.story.prompt(record, prompt, origin=origin or "", away=away)

    def completions(self, *, whole: bool = False) -> float | None:
        """The completions; returns until when the other topics are to be read (None: all).

        `whole`: read on after the last that is due, to the end of the topic.
        """
        since: float = self.start
        ends = () if whole else LOOK_AHEAD_S
        for end in (*(self.story.last_at + ahead for ahead in ends), None):
            latest = 0.0
            spans = self._reader.spans(self._topics.completions, since=since, until=end)
            for record in self._keyed(spans):
                latest = max(latest, record.timestamp_s)
                self._take(
                    record, lambda one: self.story.completion(one, decode_completion(one.value))
                )
            if end is None or len(self.story.completions) >= max(1, self.story.due):
                return None if whole or not latest else latest + SKEW_S
            since = end
        return None

    def _keyed(self, spans: list[Span]) -> Iterator[InputRecord]:
        for message in self._messages(spans):
            if message.key() == self._needle:
                yield input_record(message)

    def _messages(self, spans: list[Span]) -> Iterator[Any]:
        for batch in self._reader.read(spans, self._progress):
            yield from batch

    def _take(self, record: InputRecord, tell: Callable[[InputRecord], object]) -> None:
        try:
            tell(record)
        except BadRecordError:
            # Not of ours, or it has a dead letter of its own, which is told.
            return

    def cancels(self, end: float | None = None) -> None:
        """The control topic, as `works`; it is kept for a day."""
        spans = self._reader.spans(self._topics.control, since=self.start, until=end)
        for record in self._keyed(spans):
            self._take(record, self._cancel)

    def _cancel(self, record: InputRecord) -> None:
        asked = decode_control(record.value)
        if asked is not None:
            self.story.cancel(record, asked)

    def letters(self, end: float | None = None) -> None:
        """The dead letters that came of the id's records; after `prompts` and `works`."""
        records = (*self.story.prompts, *(record for record, _ in self.story.works))
        places = {(one.topic, one.partition, one.offset) for one in records}
        for message in self._messages(
            self._reader.spans(self._topics.dead_letters, since=self.start, until=end)
        ):
            record = input_record(message)
            letter = read_letter(record, self._topics, self._catalog)
            if (letter.from_topic, letter.from_partition, letter.from_offset) in places or (
                letter.id == self._id
            ):
                self.story.dead_letter(record, letter)

    def where(self) -> str:
        """Where a prompt without its completion is; after `prompts` and `works`."""
        if self.story.works:
            record, work = max(self.story.works, key=lambda one: one[1].moves)
            provider = work.route[-1].provider
            done = progress_of(self._reader, worker_group(self._prefix, provider), record.topic)
            known = done.get(record.partition)
            if known is None or not known.is_done(record.offset):
                return f"at {provider}: its work is not done yet"
            return f"nowhere: {provider} has done its work, and there is no completion"
        last = self.story.prompts[-1]
        read = self._reader.committed(classifier_group(self._prefix), self._topics.prompts)
        if last.offset >= read.get(last.partition, (0, ""))[0]:
            return "not taken up by the classifier yet"
        return "nowhere: the classifier has passed it, and there is no work and no completion"
