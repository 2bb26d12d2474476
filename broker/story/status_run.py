"""Reading from the topics where a prompt is now."""

import time
from collections.abc import Iterator
from typing import Final

from broker.core import bitmap
from broker.core.dedupe import home_partition
from broker.core.offsets import PartitionProgress
from broker.log.group_names import classifier_group, worker_group
from broker.log.topic_names import TopicNames
from broker.records.errors import BadRecordError
from broker.records.incoming import InputRecord
from broker.records.parsing import parse_prompt
from broker.records.progress import ProgressRecord, decode_progress
from broker.records.providers import ProviderState, decode_state
from broker.records.work import Work
from broker.settings import Settings
from broker.story.audit_run import progress_of
from broker.story.finding import Finding
from broker.story.live_topics import LiveTopics
from broker.story.log_reader import LogReader, Progress
from broker.story.status import Ahead, Facts, Status, status_of

PROGRESS_BACK_S: Final = 120.0
"""What a worker said of a prompt longer ago is not looked for: it says it again each minute."""
_POLL_S: Final = 0.25
_AGAIN_S: Final = 5.0
_SURE_S: Final = 3.0
"""A prompt is not called lost before it has been looked for again for so long."""


def run_status(settings: Settings, identity: str, *, progress: Progress | None = None) -> Status:
    """Where the prompt with this id is now.

    Raises UnknownIdError when no prompt has the id, NotReadyError when the cluster or its topics
    are not there.
    """
    ends = time.monotonic() + _SURE_S
    while True:
        with LogReader(settings) as reader:
            facts = _Look(settings, reader, identity, progress).facts()
        status = status_of(facts, time.time())
        # It may have been done, or moved, between the reading of the topics; and a transaction's
        # offsets can be seen some moments before its records.
        if status.state != "nowhere" or time.monotonic() > ends:
            return status
        time.sleep(_POLL_S)


def follow_status(settings: Settings, identity: str) -> Iterator[Status]:
    """Where the prompt is, again whenever the topics say something new of it, until it has ended.

    Raises as `run_status` does, and WeighbridgeError when a topic can be followed no more.
    """
    names = TopicNames(settings.kafka.prefix)
    with LogReader(settings) as reader:
        work = list(reader.work_topics(names, ()).values())
    key = identity.encode()
    with LiveTopics(settings, (names.completions, names.calls, names.progress, *work)) as follower:
        while True:
            status = run_status(settings, identity)
            yield status
            if status.state in ("completed", "nowhere"):
                return
            until = time.monotonic() + _AGAIN_S
            while time.monotonic() < until:
                if any(message.key() == key for message in follower.messages(_POLL_S)):
                    break


class _Look:
    """One look at the topics."""

    def __init__(
        self, settings: Settings, reader: LogReader, identity: str, progress: Progress | None
    ) -> None:
        self._settings = settings
        self._reader = reader
        self._id = identity
        self._names = TopicNames(settings.kafka.prefix)
        self._found = Finding(settings, reader, identity, progress)

    def facts(self) -> Facts:
        found, story = self._found, self._found.story
        found.prompts()
        found.completions()
        last = max(story.prompts, key=lambda one: one.timestamp_s)
        tenant = parse_prompt(last, self._settings.catalog()).tenant
        if len(story.completions) >= max(1, story.due):
            ended = max(story.completions, key=lambda one: one.completed_at)
            return Facts(self._id, tenant, story.first_at, completion=ended)
        found.works()
        if not story.works:
            ahead, done = self._in_prompts(last)
            return Facts(self._id, tenant, story.first_at, ahead=ahead, is_done=done)
        found.journal()
        record, work = max(story.works, key=lambda one: (one[1].accepted_at, one[1].moves))
        ahead, done = self._in_lane(record, work)
        return Facts(
            self._id,
            tenant,
            story.first_at,
            work=work,
            calls=[call for call in found.calls if call.at >= work.accepted_at],
            told=self._told(),
            ahead=ahead,
            is_done=done,
            states=self._states(work.route[-1].provider),
        )

    def _in_prompts(self, record: InputRecord) -> tuple[Ahead | None, bool]:
        """What the classifier has to decide before it in its partition, or whether it has it."""
        topic, group = self._names.prompts, classifier_group(self._settings.kafka.prefix)
        known = progress_of(self._reader, group, topic).get(record.partition)
        if known is not None and known.is_done(record.offset):
            home = home_partition(self._id, self._reader.partitions(topic))
            # Elsewhere it was sent home, where it has not arrived yet.
            return None, record.partition == home
        start = self._start(topic, record.partition)
        return Ahead(_undone(known, start, record.offset), 1), False

    def _in_lane(self, record: InputRecord, work: Work) -> tuple[Ahead | None, bool]:
        """What came before it into the partitions of its lane and is not done, or whether it is."""
        group = worker_group(self._settings.kafka.prefix, work.route[-1].provider)
        done = progress_of(self._reader, group, record.topic)
        own = done.get(record.partition)
        if own is not None and own.is_done(record.offset):
            return None, True
        lanes = self._settings.lane_plan(self._reader.partitions(record.topic))
        lane = lanes.lane_of(record.partition)
        partitions = range(0) if lane is None else lanes.partitions[lane]
        count = 0
        for span in self._reader.spans(record.topic, until=record.timestamp_s):
            if span.partition not in partitions:
                continue
            end = record.offset if span.partition == record.partition else span.end
            count += _undone(done.get(span.partition), span.start, end)
        return Ahead(count, len(partitions)), False

    def _start(self, topic: str, partition: int) -> int:
        spans = self._reader.spans(topic)
        return next((span.start for span in spans if span.partition == partition), 0)

    def _told(self) -> ProgressRecord | None:
        """What a worker said of it last."""
        key, told = self._id.encode(), None
        spans = self._reader.spans(self._names.progress, since=time.time() - PROGRESS_BACK_S)
        for batch in self._reader.read(spans):
            for message in batch:
                if message.key() != key:
                    continue
                try:
                    found = decode_progress(message.value())
                except BadRecordError:
                    continue
                if told is None or found.at >= told.at:
                    told = found
        return told

    def _states(self, provider: str) -> list[ProviderState]:
        """What the provider's workers say of themselves."""
        states: dict[bytes, ProviderState] = {}
        begins = f"{provider}/".encode()
        for batch in self._reader.read(self._reader.spans(self._names.providers)):
            for message in batch:
                key = message.key() or b""
                if not key.startswith(begins):
                    continue
                try:
                    states[key] = decode_state(message.value())
                except BadRecordError:
                    states.pop(key, None)
        return list(states.values())


def _undone(known: PartitionProgress | None, start: int, end: int) -> int:
    """Offsets below `end` that are not done. Transactions' markers count until they are passed."""
    base = start if known is None else max(start, known.base)
    if known is None or end <= base:
        return max(0, end - base)
    # Past what one commit can say, nothing is done.
    near = min(end, base + bitmap.CAPACITY)
    return sum(not known.is_done(offset) for offset in range(base, near)) + end - near
