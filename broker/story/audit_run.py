"""An audit of the topics: what is read, in which order, and how far."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, Final

from broker.core.offsets import PartitionProgress
from broker.log.group_names import classifier_group, worker_group
from broker.log.topic_names import TopicNames
from broker.settings import Settings
from broker.story.asked import asked
from broker.story.audit import Audit, Figures
from broker.story.ledger import digest
from broker.story.lines import UNREADABLE, call_line, completion_line, work_line
from broker.story.log_reader import LogReader, Progress, input_record
from broker.story.spans import Span

SKEW_S: Final = 300.0
"""How far the clocks of workers may be behind the broker's when a time range is looked up."""
NAMED: Final = 10
"""So many lost or doubled ids are named."""


@dataclass(frozen=True, slots=True)
class AuditResult:
    """The figures, and what a person wants to know beside them."""

    figures: Figures
    lost_ids: tuple[str, ...]
    """The first few."""
    doubled_ids: tuple[str, ...]
    unknown: int
    unreadable: int
    unread: int
    """Records of the prompts that the classifier has not committed yet."""


def progress_of(reader: LogReader, group: str, topic: str) -> dict[int, PartitionProgress]:
    """What a group has committed of a topic, by partition; nothing where it never committed."""
    known = {}
    for partition, (base, metadata) in reader.committed(group, topic).items():
        known[partition] = PartitionProgress(base)
        known[partition].restore(base, metadata)
    return known


def run_audit(
    settings: Settings,
    *,
    grace_s: float = 60.0,
    since: float | None = None,
    until: float | None = None,
    progress: Progress | None = None,
    clock: Callable[[], float] = time.time,
) -> AuditResult:
    """Audit the prompts accepted from `since` and before `until` (unix seconds; None: all).

    Raises NotReadyError when the cluster or its topics are not there.
    """
    with LogReader(settings) as reader:
        return _Run(settings, reader, since, until, progress).result(grace_s, clock)


class _Run:
    def __init__(
        self,
        settings: Settings,
        reader: LogReader,
        since: float | None,
        until: float | None,
        progress: Progress | None,
    ) -> None:
        self._reader = reader
        self._topics = TopicNames(settings.kafka.prefix)
        self._prefix = settings.kafka.prefix
        self._work_topics = reader.work_topics(self._topics, settings.providers)
        self._catalog = settings.catalog()
        self._progress = progress
        self._since = since
        self._until = until
        self._audit = Audit(
            partitions=reader.require(self._topics.prompts),
            window_s=settings.dedupe.window_s,
            since=-inf if since is None else since,
            until=inf if until is None else until,
        )
        self._before = None if since is None else since - settings.dedupe.window_s

    def result(self, grace_s: float, clock: Callable[[], float]) -> AuditResult:
        topics, reader = self._topics, self._reader
        # The order matters, see `audit`: prompts' ends, commits, and then all other ends.
        prompts = reader.spans(topics.prompts, since=self._before, until=self._until)
        read = reader.committed(classifier_group(self._prefix), topics.prompts)
        done = {
            provider: progress_of(reader, worker_group(self._prefix, provider), topic)
            for provider, topic in self._work_topics.items()
        }
        now = clock()
        after = None if self._since is None else self._since - SKEW_S
        completions = reader.spans(topics.completions, since=after, settled=True)
        work = {
            name: reader.spans(topic, since=after, settled=True)
            for name, topic in self._work_topics.items()
        }
        calls = reader.spans(topics.calls, since=after)
        letters = reader.spans(topics.dead_letters, since=self._since, until=self._until)

        self._prompts(prompts, read)
        self._each(completions, completion_line, self._audit.completion)
        for name, spans in work.items():
            self._work(spans, done[name])
        self._each(calls, call_line, self._audit.call)
        for batch in reader.read(letters, self._progress):
            self._audit.dead_lettered += len(batch)
        figures = self._audit.figures(now, grace_s)
        lost, doubled = self._named(prompts, figures)
        unread = sum(
            max(0, span.end - max(span.start, read.get(span.partition, (span.start, ""))[0]))
            for span in prompts
        )
        return AuditResult(
            figures, lost, doubled, self._audit.unknown, self._audit.unreadable, unread
        )

    def _prompts(self, spans: list[Span], read: Mapping[int, tuple[int, str]]) -> None:
        take, catalog = self._audit.prompt, self._catalog
        for batch in self._reader.read(spans, self._progress):
            for message in batch:
                record = input_record(message)
                base, _ = read.get(record.partition, (0, ""))
                take(
                    asked(record, catalog),
                    record.partition,
                    record.timestamp_s,
                    unread=record.offset >= base,
                )

    def _each(
        self, spans: list[Span], decode: Callable[[Any], Any], take: Callable[[Any], None]
    ) -> None:
        for message in self._messages(spans):
            try:
                take(decode(message.value()))
            except UNREADABLE:
                self._audit.unreadable += 1

    def _work(self, spans: list[Span], done: Mapping[int, PartitionProgress]) -> None:
        take = self._audit.work
        for message in self._messages(spans):
            known = done.get(message.partition())
            try:
                line = work_line(message.value())
                take(line, done=known is not None and known.is_done(message.offset()))
            except UNREADABLE:
                self._audit.unreadable += 1

    def _messages(self, spans: list[Span]) -> Iterator[Any]:
        for batch in self._reader.read(spans, self._progress):
            yield from batch

    def _named(
        self, spans: list[Span], figures: Figures
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The ids behind a few of the rows; the ledger has only digests, so read them again."""
        lost = self._audit.ledger.digests(figures.lost_rows)
        doubled = self._audit.ledger.digests(figures.doubled_rows)
        found: tuple[dict[str, None], dict[str, None]] = ({}, {})
        if not lost and not doubled:
            return (), ()
        wanted = (min(NAMED, len(lost)), min(NAMED, len(doubled)))
        for message in self._messages(spans):
            name = asked(input_record(message), self._catalog).id
            key = digest(name)
            for rows, names in zip((lost, doubled), found, strict=True):
                if key in rows and len(names) < NAMED:
                    names[name] = None
            if (len(found[0]), len(found[1])) == wanted:
                break
        return tuple(found[0]), tuple(found[1])
