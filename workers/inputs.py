"""Brings what a prompt refers to: checked, and only for as long as its call takes."""

import asyncio
import time
from collections.abc import Callable, Hashable, Iterable
from dataclasses import replace
from typing import Any, Final

from broker.records.data_refs import DataRef, data_ref_of
from broker.records.field_rules import InvalidField, check_content
from broker.records.work import Work
from broker.store.claims import BIG
from broker.store.reading import DataReader, DataRefError
from workers.input_parts import filled, holders
from workers.input_room import InputRoom

TOO_LARGE: Final = "dataref_too_large"
UNREADABLE: Final = "dataref_unreadable"

_AT_ONCE: Final = 8
"""Objects that one prompt reads at the same time."""


class Inputs:
    """Fills prompts from the stores that the settings allow. `reader` is made when it is needed.

    One prompt may bring `max_bytes`, and all that are asked at once `max_held`; others wait.
    """

    def __init__(self, reader: Callable[[], DataReader], *, max_bytes: int, max_held: int) -> None:
        self._reader = reader
        self._most = max_bytes
        self.room = InputRoom(max_held)

    def done(self, asker: Hashable) -> None:
        """What this one brought is not held any more; well for one that brought nothing."""
        self.room.give_back(asker)

    async def brought(self, work: Work, asker: Hashable) -> Work:
        """The work as it is asked; the same object when it refers to nothing.

        `asker` is to say `done` when its call is over, however that ended.

        Records never hold what this returns. Raises DataRefError; StoreFailedError when
        a store does not answer, UsageError when one cannot be opened, and TimeoutError at the
        deadline of the prompt.
        """
        try:
            refs = list(map(data_ref_of, holders(work.fields)))
        except (AttributeError, KeyError, TypeError) as error:
            raise DataRefError(
                "A `dataref` of the prompt is not in the contract's form.", code=UNREADABLE
            ) from error
        if not refs:
            return work
        # What is referred to twice stands twice in the call.
        size = sum(ref.size for ref in refs)
        if size > self._most:
            raise DataRefError(
                f"What the prompt refers to has {size:,} bytes, and {self._most:,} are allowed.",
                mend="Send less, or raise store.max_input_bytes.",
                code=TOO_LARGE,
            )
        left = None if work.deadline is None else work.deadline - time.time()
        async with asyncio.timeout(left):
            await self.room.take(asker, size)
            got = await self._read(dict.fromkeys(refs))
        return replace(work, fields=await self._filled(work, got, size))

    async def _read(self, refs: Iterable[DataRef]) -> dict[str, bytes]:
        """What lies at each URL, some of them at once: a list of inputs may have thousands."""
        left, reader = iter(refs), self._reader()
        got: dict[str, bytes] = {}

        async def some() -> None:
            for ref in left:
                got[ref.url] = await reader.read(ref)

        tasks = [asyncio.ensure_future(some()) for _ in range(_AT_ONCE)]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return got

    async def _filled(self, work: Work, got: dict[str, bytes], size: int) -> dict[str, Any]:
        def fill() -> dict[str, Any]:
            fields = filled(work.fields, got.__getitem__)
            check_content(fields, work.kind)  # type: ignore[arg-type]  # a work record's kind is one
            return fields

        try:
            return fill() if size < BIG else await asyncio.to_thread(fill)
        except (ValueError, InvalidField) as error:
            raise DataRefError(
                "What a `dataref` of the prompt points to cannot stand in its place: it is not "
                "the text that belongs there.",
                code=UNREADABLE,
            ) from error
