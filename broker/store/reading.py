"""Reads what a reference names: from allowed stores only, with its size and sum checked."""

import asyncio
from functools import cached_property
from typing import Final

from broker.records.data_refs import DataRef
from broker.records.errors import WeighbridgeError
from broker.settings.sections import InputStore, StoreSettings
from broker.store.claims import own_objects, own_url, sha256_of
from broker.store.names import bare_url, name_below
from broker.store.objects import Objects

NOT_ALLOWED: Final = "dataref_not_allowed"
MISSING: Final = "dataref_missing"
MISMATCH: Final = "dataref_mismatch"


class DataRefError(WeighbridgeError):
    """What a reference names cannot be had; asking again would not help."""

    default_code = MISSING


class DataReader:
    """Reads from our own store and from those of `store.inputs`, and from nowhere else."""

    def __init__(self, settings: StoreSettings) -> None:
        own = _Source(InputStore(url=own_url(settings)), settings)
        self._sources = (own, *map(_Source, settings.inputs))

    async def read(self, ref: DataRef) -> bytes:
        """The bytes; `ref.size` of them are held in memory.

        Raises DataRefError, StoreFailedError when the store does not answer, and UsageError when
        it cannot be opened.
        """
        source, name = self._source_of(ref.url)
        if await asyncio.to_thread(source.objects.leads_out, name):
            raise _not_allowed()
        data = await source.objects.get(name, ref.size)
        if data is None:
            raise DataRefError("There is nothing where a `dataref` points to.", code=MISSING)
        if len(data) != ref.size:
            raise DataRefError(
                f"What a `dataref` points to does not have the {ref.size:,} bytes that "
                "`dataref_size` says.",
                code=MISMATCH,
            )
        if await sha256_of(data) != ref.sha256:
            raise DataRefError(
                "What a `dataref` points to does not have the sum that `dataref_sha256` says.",
                code=MISMATCH,
            )
        return data

    def _source_of(self, url: str) -> tuple["_Source", str]:
        for source in self._sources:
            name = name_below(source.root, url)
            if name is not None:
                return source, name
        raise _not_allowed()


def _not_allowed() -> DataRefError:
    return DataRefError(
        "A `dataref` points to a store that is not allowed.",
        mend="Allowed are store.url and everything below the URLs of store.inputs.",
        code=NOT_ALLOWED,
    )


class _Source:
    """A store that may be read, opened when it first is. `own`: it is ours."""

    def __init__(self, given: InputStore, own: StoreSettings | None = None) -> None:
        self._given = given
        self._own = own
        self.root = bare_url(given.url)

    @cached_property
    def objects(self) -> Objects:
        """The store; raises UsageError."""
        if self._own is not None:
            return own_objects(self._own)
        return Objects(self._given.url, self._given.options)
