"""Objects behind a URL, on a disk or in a cloud: every request has a deadline and a few tries."""

import asyncio
import contextlib
import os
import re
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import unquote, urlsplit

from broker.records.errors import UsageError, WeighbridgeError
from broker.settings.secrets import resolve_secret
from broker.store.names import bare_url

TRIES: Final = 4
REQUEST_S: Final = 60.0
PUT_S: Final = TRIES * (REQUEST_S + 5.0)
"""Longest time that a write takes, pauses between its tries included."""
_FIRST_PAUSE_S: Final = 0.2
_THREADS: Final = 16
_STAGED: Final = re.compile(r".+#[0-9]+")
_OF_CLIENT: Final = frozenset(
    {
        *("allow_http", "allow_invalid_certificates", "connect_timeout", "http1_only"),
        *("http2_only", "pool_idle_timeout", "pool_max_idle_per_host", "proxy_url"),
        *("proxy_ca_certificate", "proxy_excludes", "read_timeout", "root_certificate"),
        *("timeout", "user_agent"),
    }
)
"""Options that obstore takes for its HTTP client and not for the store."""

T = TypeVar("T")


class StoreFailedError(WeighbridgeError):
    """The store did not do what it was asked, after some tries."""

    default_code = "store_unavailable"


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as the store lists it. `modified` is unix seconds by the store's own clock."""

    name: str
    size: int
    modified: float


class Objects:
    """The objects below one URL, each by its name there. Used on an event loop.

    `url` is `file:///...`, `s3://...`, `gs://...`, `az://...` or what else obstore knows. Raises
    UsageError when it cannot be opened. A folder on a disk is made when `make`.

    obstore is asked on threads of our own: a short process that used its coroutines was now and
    then aborted at its end, when a thread of obstore's came back to an interpreter that was gone.
    """

    def __init__(
        self,
        url: str,
        options: Mapping[str, str],
        *,
        make: bool = False,
        tries: int = TRIES,
        request_s: float = REQUEST_S,
    ) -> None:
        # A heavy import, needed only by who meets a large answer or has a store to look into.
        from obstore.store import LocalStore, from_url  # noqa: PLC0415 - see above

        if url.startswith("file:") and not url.startswith("file:///"):
            raise UsageError(
                "The store for large answers cannot be opened: its URL names no folder.",
                mend="Give store.url with three slashes, as in file:///var/lib/weighbridge.",
            )
        self.root = bare_url(url)
        self.folder = Path(unquote(urlsplit(url).path)) if url.startswith("file:") else None
        """Where it lies, when that is a disk of this machine."""
        resolved = {name: resolve_secret(value) or "" for name, value in options.items()}
        self._tries, self._request_s = tries, request_s
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="store")
        try:
            if self.folder is not None:
                self._store: Any = LocalStore(self.folder, mkdir=make, automatic_cleanup=True)
            else:
                self._store = from_url(bare_url(url), **_arguments(resolved, request_s))
        except Exception as error:
            raise UsageError(
                f"The store for large answers cannot be opened: {type(error).__name__}.",
                mend="Check store.url and store.options in the settings.",
            ) from error

    async def put(self, name: str, data: bytes, media_type: str) -> None:
        """Write an object, also over one that is there; raises StoreFailedError."""
        import obstore  # noqa: PLC0415 - as above

        # Disks keep no media types, and obstore refuses to be given one for them.
        kind = None if self.folder is not None else {"Content-Type": media_type}
        await self._tried(
            "take them", lambda: obstore.put(self._store, name, data, attributes=kind)
        )

    async def get(self, name: str, size: int) -> bytes | None:
        """The bytes of an object of this size.

        None when there is none; other bytes than expected, cut off, when its size is another.
        Raises StoreFailedError.
        """
        import obstore  # noqa: PLC0415 - as above

        def read() -> bytes | None:
            try:
                found = obstore.get(self._store, name)
                if found.meta["size"] != size:
                    return b""
                got = bytearray()
                for part in found.stream():
                    got += part
                    if len(got) > size:
                        break
            except FileNotFoundError:
                return None
            return bytes(got)

        return await self._tried("give them", read)

    async def modified(self, name: str) -> float | None:
        """When an object was last written (unix seconds), None when there is none."""
        import obstore  # noqa: PLC0415 - as above

        def look() -> float | None:
            try:
                found = obstore.head(self._store, name)
            except FileNotFoundError:
                return None
            return float(found["last_modified"].timestamp())

        return await self._tried("tell of them", look)

    async def listed(self, folder: str) -> AsyncIterator[StoredObject]:
        """Everything in a folder and below; raises StoreFailedError."""
        import obstore  # noqa: PLC0415 - as above

        chunks = iter(obstore.list(self._store, prefix=folder, chunk_size=1_000))
        while True:
            try:
                chunk = await self._asked(lambda: next(chunks, None))
            except Exception as error:
                raise _failed("list them", error) from error
            if chunk is None:
                return
            for one in chunk:
                yield StoredObject(one["path"], one["size"], one["last_modified"].timestamp())

    async def remove(self, name: str) -> None:
        """Remove an object; one that is gone already is well. Raises StoreFailedError."""
        import obstore  # noqa: PLC0415 - as above

        def delete() -> None:
            with contextlib.suppress(FileNotFoundError):
                obstore.delete(self._store, name)

        await self._tried("remove them", delete)

    def remove_staged(self, folder: str, before: float) -> int:
        """Files of writes that were cut off on this disk before then; how many."""
        if self.folder is None:
            return 0
        removed = 0
        for path in (self.folder / folder).rglob("*#*"):
            with contextlib.suppress(OSError):
                if _STAGED.fullmatch(path.name) and path.stat().st_mtime < before:
                    path.unlink()
                    removed += 1
        return removed

    def leads_out(self, name: str) -> bool:
        """Whether a link on this disk takes the name out of the folder."""
        if self.folder is None:
            return False
        real = os.path.realpath(self.folder / name)
        return not Path(real).is_relative_to(os.path.realpath(self.folder))

    async def _tried(self, what: str, ask: Callable[[], T]) -> T:
        for attempt in range(1, self._tries + 1):
            try:
                return await self._asked(ask)
            except Exception as error:
                if attempt == self._tries:
                    raise _failed(what, error) from error
                await asyncio.sleep(_FIRST_PAUSE_S * 2**attempt)
        raise AssertionError(self._tries)

    async def _asked(self, ask: Callable[[], T]) -> T:
        asked = asyncio.get_running_loop().run_in_executor(self._pool, ask)
        return await asyncio.wait_for(asked, self._request_s)


def _failed(what: str, error: Exception) -> StoreFailedError:
    # Only the kind of the error: its text has addresses with keys in them.
    return StoreFailedError(
        f"The store for large answers does not {what}: {type(error).__name__}.",
        mend="Check store.url and store.options in the settings, its room and its permissions.",
    )


def _arguments(options: Mapping[str, str], request_s: float) -> dict[str, Any]:
    """What obstore is given: the HTTP client's options and the store's, by its own names."""
    # A thread must not wait longer for its answer than we do for the thread.
    client: dict[str, Any] = {"timeout": f"{request_s:.0f}s"}
    store: dict[str, str] = {}
    for name, value in options.items():
        plain = name.lower()
        for vendor in ("aws_", "google_", "azure_"):
            if plain.removeprefix(vendor) in _OF_CLIENT:
                plain = plain.removeprefix(vendor)
        if plain in _OF_CLIENT:
            client[plain] = value
        else:
            store[plain] = value
    arguments = {"config": store, "client_options": client}
    given = {name: values for name, values in arguments.items() if values}
    # It is we who try again, within our own deadline.
    return {**given, "retry_config": {"max_retries": 0}}
