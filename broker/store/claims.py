"""Our own store: takes what is too large for a record and says where it lies."""

import asyncio
import hashlib
import time
from typing import Final

from broker.records.data_refs import DataRef
from broker.settings.loading import data_folder
from broker.settings.sections import StoreSettings
from broker.store.names import object_name
from broker.store.objects import Objects

FOLDER: Final = "claims"
BIG: Final = 256 * 1024
"""From so many bytes on, sums are taken on a thread, so that the event loop goes on."""


def own_url(settings: StoreSettings) -> str:
    """Where our own store is; a folder of the user's data when the settings name none."""
    return settings.url or (data_folder() / FOLDER).absolute().as_uri()


def own_objects(settings: StoreSettings) -> Objects:
    """Our own store, opened; raises UsageError when it cannot be."""
    return Objects(own_url(settings), settings.options, make=True)


class ClaimStore:
    """What one deployment puts into our own store. `folder` is its own, see `names.folder_of`."""

    def __init__(self, settings: StoreSettings, folder: str) -> None:
        self._objects = own_objects(settings)
        self._folder = folder

    async def put(self, data: bytes, media_type: str) -> DataRef:
        """Write these bytes, also when they are there: what was just written is not swept.

        Raises StoreFailedError.
        """
        digest = await sha256_of(data)
        name = object_name(self._folder, time.time(), digest, media_type)
        await self._objects.put(name, data, media_type)
        return DataRef(f"{self._objects.root}/{name}", len(data), digest, media_type)


async def sha256_of(data: bytes) -> str:
    """The SHA-256 in hex."""
    if len(data) < BIG:
        return hashlib.sha256(data).hexdigest()
    return (await asyncio.to_thread(hashlib.sha256, data)).hexdigest()
