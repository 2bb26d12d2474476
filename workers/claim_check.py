"""Answers too large for a record: the bytes go to a store, the completion says where they lie."""

import asyncio
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import orjson

from broker.records.completion import Completion, DataRef
from broker.records.errors import UsageError, WeighbridgeError
from broker.settings.loading import data_folder

FOLDER: Final = "claims"
_TRIES: Final = 4
_FIRST_PAUSE_S: Final = 0.2
_PUT_S: Final = 60.0


class StoreFailedError(WeighbridgeError):
    """The store did not take an answer."""

    default_code = "store_unavailable"


class ClaimCheck:
    """Answers by the SHA-256 of their bytes, so that a repeated write changes nothing.

    `url` is `s3://…`, `gs://…`, `az://…`, `file:///…`, or empty for a folder of the user's data.
    """

    def __init__(self, url: str) -> None:
        # A heavy import, needed only by who meets a large answer or has a store to check.
        from obstore.store import LocalStore, from_url  # noqa: PLC0415 - see above

        try:
            if not url or url.startswith("file://"):
                folder = Path(url.removeprefix("file://")) if url else data_folder() / FOLDER
                self._store: Any = LocalStore(folder, mkdir=True)
                self._root = folder.absolute().as_uri()
            else:
                self._store = from_url(url)
                self._root = url.rstrip("/")
        except Exception as error:
            raise UsageError(
                f"The store for large answers cannot be opened: {type(error).__name__}.",
                mend="Check store.url in the settings.",
            ) from error

    async def check_in(self, completion: Completion) -> Completion:
        """Store the answer and return the completion with a reference and without the answer.

        Raises StoreFailedError when the store does not take it after some tries.
        """
        body = completion.body
        data = orjson.dumps({"text": completion.text} if body is None else body)
        digest = hashlib.sha256(data).hexdigest()
        path = f"{digest[:2]}/{digest}.json"
        await self._put(path, data)
        return replace(
            completion,
            text=None,
            body=None,
            data=DataRef(f"{self._root}/{path}", len(data), digest),
        )

    async def _put(self, path: str, data: bytes) -> None:
        import obstore  # noqa: PLC0415 - as above

        for attempt in range(1, _TRIES + 1):
            try:
                await asyncio.wait_for(obstore.put_async(self._store, path, data), _PUT_S)
            except Exception as error:
                if attempt == _TRIES:
                    raise StoreFailedError(
                        f"The store for large answers does not take them: {type(error).__name__}.",
                        mend="Check store.url in the settings, its room and its permissions.",
                    ) from error
                await asyncio.sleep(_FIRST_PAUSE_S * 2**attempt)
            else:
                return
