"""A key in a file, read again when the file changes: keys are rotated under a running process."""

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from broker.telemetry.logs import get_logger
from workers.thread_answer import ThreadAnswer

LOOK_EVERY_S: Final = 1.0
LOOK_S: Final = 2.0
"""Longest wait for the file's storage."""
_MOST_BYTES: Final = 64 * 1024

Stamp = tuple[int, int, int]
"""Time of the last change, inode, size: a file that is replaced has another one."""


class UnusableKeyError(Exception):
    """What stands there is no key."""


class KeyFile:
    """A key that may change. Used on the event loop, which it never blocks.

    A file that is missing, empty or no key leaves the last good key in use.
    """

    def __init__(self, path: Path, header: Callable[[str], tuple[str, str]], name: str) -> None:
        self._path = path
        self._header = header
        self._name = name
        self._thread: ThreadAnswer[tuple[Stamp, str | None]] = ThreadAnswer(f"key-{name}")
        self._stamp, key = read_key(path, None)
        if key is None:
            raise UnusableKeyError
        self._headers = dict([header(key)])
        self._looked_at = time.monotonic()
        self._looking: asyncio.Task[None] | None = None
        self._unusable = False

    async def headers(self) -> Mapping[str, str]:
        """The last good key's."""
        now = time.monotonic()
        if now - self._looked_at >= LOOK_EVERY_S:
            self._looked_at = now
            if self._looking is None or self._looking.done():
                self._looking = asyncio.create_task(self._look())
            await asyncio.shield(self._looking)
        return self._headers

    def rejected(self) -> None:
        """The provider did not take the key: look before the next call."""
        self._looked_at = -LOOK_EVERY_S

    async def close(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()

    async def _look(self) -> None:
        path, stamp = self._path, self._stamp
        try:
            self._stamp, key = await self._thread.ask(lambda: read_key(path, stamp), LOOK_S)
        except (OSError, TimeoutError, UnusableKeyError) as error:
            if not self._unusable:
                self._unusable = True
                get_logger().warning(
                    "key_file_unusable",
                    provider=self._name,
                    file=str(path),
                    reason=_reason(error),
                    note="the last key stays in use",
                )
            return
        if key is not None:
            self._headers = dict([self._header(key)])
        if key is not None or self._unusable:
            self._unusable = False
            get_logger().info("key_file_read", provider=self._name, file=str(path))


def read_key(path: Path, known: Stamp | None) -> tuple[Stamp, str | None]:
    """The file's stamp, and the key in it unless the stamp is the known one.

    Raises OSError, and UnusableKeyError where no key stands there.
    """
    found = path.stat()
    stamp = (found.st_mtime_ns, found.st_ino, found.st_size)
    if stamp == known:
        return stamp, None
    if found.st_size > _MOST_BYTES:
        raise UnusableKeyError
    try:
        return stamp, usable_key(path.read_text("utf-8"))
    except UnicodeDecodeError:
        raise UnusableKeyError from None


def usable_key(text: str) -> str:
    """The key without white space around it; raises UnusableKeyError where it is none."""
    key = text.strip()
    if not key or not key.isascii() or not key.isprintable():
        raise UnusableKeyError
    return key


def _reason(error: Exception) -> str:
    if isinstance(error, UnusableKeyError):
        return "it holds no key"
    if isinstance(error, TimeoutError):
        return f"it could not be read within {LOOK_S:g} s"
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
