"""Finds objects of the store that no record refers to, and removes those that none ever will.

An object is written before its completion is committed. A worker that is killed in between leaves
it behind, and so does the retention of the completions topic. What may be removed is decided from
the log alone:

1. The store is listed first. What is younger than the bound stays.
2. A completion that is still to come belongs to work that is still to be done, and its object was
   written after that work record. So what is younger than the oldest work that is not committed
   stays too, however long a broker was away between the write and the commit.
3. Only then are the references read, up to the end: what was committed meanwhile is seen. They are
   those of completions, and of prompts and work that wait.
4. Before an object is removed it is looked at once more: one that was written again stays. In the
   moment between this look and the removal none is written again, as a name has its hour in it,
   and the bound is longer than an hour and the longest write.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from typing import Any, Final

import orjson

from broker.log.clients import admin_config
from broker.log.group_names import classifier_group, worker_group
from broker.log.topic_names import TopicNames
from broker.log.topic_shapes import read_shapes
from broker.records.data_refs import references_in
from broker.settings import Settings
from broker.store.claims import own_objects
from broker.store.names import HOUR_S, folder_of, is_of, name_below
from broker.store.objects import Objects, StoredObject
from broker.story.log_reader import LogReader, Progress
from broker.story.spans import Span

SHORTEST_S: Final = 2 * HOUR_S
"""Least bound: an hour for the names, and another for clocks and the longest write."""
SKEW_S: Final = 300.0
"""How far the clocks of the store and of the broker may be apart."""

_MARK: Final = b'"dataref"'


@dataclass(frozen=True, slots=True)
class Swept:
    """What was found below `folder` of the store, as counts and bytes."""

    store: str
    folder: str
    listed: int
    listed_bytes: int
    referenced: int
    """Older than the bound, and some record refers to them."""
    kept: int
    """Not referred to, but younger than the bound or than work that is still to be done."""
    others: int
    """Objects in our folder whose names are not ours; never touched."""
    orphans: tuple[StoredObject, ...]
    """Removed, or in a dry run those that would be."""
    staged: int
    """Remains of writes that were cut off on a disk."""

    def as_json(self) -> dict[str, Any]:
        """The figures, with the names of what is removed."""
        return {
            "store": self.store,
            "folder": self.folder,
            "listed": self.listed,
            "listed_bytes": self.listed_bytes,
            "referenced": self.referenced,
            "kept": self.kept,
            "others": self.others,
            "removed": len(self.orphans),
            "removed_bytes": sum(one.size for one in self.orphans),
            "staged": self.staged,
            "objects": [f"{self.store}/{one.name}" for one in self.orphans],
        }


def deployment_folder(settings: Settings) -> str:
    """Where this deployment's objects lie; raises NotReadyError without its cluster or topics."""
    names = TopicNames(settings.kafka.prefix)
    shapes = read_shapes(admin_config(settings), [names.completions, names.prompts])
    return folder_of(shapes.cluster, settings.kafka.prefix)


async def listed(objects: Objects, folder: str) -> list[StoredObject]:
    """Everything in the folder, by name."""
    return sorted([one async for one in objects.listed(folder)], key=lambda one: one.name)


def sweep(
    settings: Settings, *, before: float, dry_run: bool, progress: Progress | None = None
) -> Swept:
    """Remove what was written before then (unix seconds) and nobody refers to, nor ever will.

    Raises NotReadyError without the cluster or its topics, StoreFailedError, and UsageError when
    the store cannot be opened.
    """
    folder = deployment_folder(settings)
    objects = own_objects(settings.store)
    found = asyncio.run(listed(objects, folder))
    ours = [one for one in found if is_of(folder, one.name)]
    with LogReader(settings) as reader:
        log = _Log(settings, reader, progress)
        bound = min(before, log.oldest_work_s() - SKEW_S)
        old = {one.name: one for one in ours if one.modified < bound}
        orphans = dict(old)
        for url in log.references():
            orphans.pop(name_below(objects.root, url) or "", None)
    removed = tuple(orphans.values())
    if not dry_run:
        removed = asyncio.run(_remove(objects, removed))
    return Swept(
        store=objects.root,
        folder=folder,
        listed=len(found),
        listed_bytes=sum(one.size for one in found),
        referenced=len(old) - len(orphans),
        kept=len(ours) - len(old),
        others=len(found) - len(ours),
        orphans=removed,
        staged=0 if dry_run else objects.remove_staged(folder, bound),
    )


async def _remove(objects: Objects, orphans: tuple[StoredObject, ...]) -> tuple[StoredObject, ...]:
    removed = []
    for one in orphans:
        if await objects.modified(one.name) == one.modified:
            await objects.remove(one.name)
            removed.append(one)
    return tuple(removed)


class _Log:
    """What the topics say; to be asked for the oldest work first, see above."""

    def __init__(self, settings: Settings, reader: LogReader, progress: Progress | None) -> None:
        self._settings = settings
        self._reader = reader
        self._progress = progress
        self._names = TopicNames(settings.kafka.prefix)
        self._waiting: list[list[Span]] = []

    def oldest_work_s(self) -> float:
        """When the oldest work that is not done was written (unix seconds); inf when there is none.

        The order matters: what a group has committed is asked before the ends of where it writes.
        So a prompt that goes from one topic to the next meanwhile is seen in one of them.
        """
        prefix, reader = self._settings.kafka.prefix, self._reader
        prompts = self._bases(classifier_group(prefix), self._names.prompts)
        topics = reader.work_topics(self._names, self._settings.providers)
        bases = {
            topic: self._bases(worker_group(prefix, provider), topic)
            for provider, topic in topics.items()
        }
        work = [self._from(topic, base) for topic, base in bases.items()]
        self._waiting = [self._from(self._names.prompts, prompts), *work]
        return min(map(self._first, (span for spans in work for span in spans)), default=inf)

    def references(self) -> Iterator[str]:
        """The URL of every reference in what waits and in what is completed, often repeated."""
        for spans in self._waiting:
            yield from self._urls(spans)
        yield from self._urls(self._reader.spans(self._names.completions, settled=True))

    def _bases(self, group: str, topic: str) -> Callable[[Span], int]:
        committed = self._reader.committed(group, topic)
        return lambda span: committed.get(span.partition, (span.start, ""))[0]

    def _from(self, topic: str, base: Callable[[Span], int]) -> list[Span]:
        """What has not been committed, by partition, up to the end."""
        spans = self._reader.spans(topic, settled=True)
        return [
            Span(topic, one.partition, min(one.end, max(one.start, base(one))), one.end)
            for one in spans
        ]

    def _first(self, span: Span) -> float:
        """When the first record of a span was written."""
        for batch in self._reader.read([span]):
            return float(max(0, batch[0].timestamp()[1])) / 1000
        return inf

    def _urls(self, spans: list[Span]) -> Iterator[str]:
        for batch in self._reader.read(spans, self._progress):
            for message in batch:
                value = message.value() or b""
                if _MARK in value:
                    with suppress(orjson.JSONDecodeError):
                        yield from (one["dataref"] for one in references_in(orjson.loads(value)))
