"""The settings file, watched while a process runs: what in it may change takes effect by itself.

Subscribers are told of new settings that are valid as a whole. A wrong file keeps what was there,
and says so; what differs in sections that only a start reads is named.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from broker.records.errors import WeighbridgeError
from broker.settings.loading import Settings, load_settings

LIVE: Final = frozenset({"tenants", "tenant_groups", "tenant_defaults", "routing"})
"""Sections that may change while the processes run."""

Take = Callable[[Settings], None]


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What became of a changed file.

    `changed` are the sections that are in force now, `need_restart` those that differ from what
    this process started with and are not. `why` says what is wrong in a file that is not used.
    """

    outcome: Literal["taken", "same", "wrong"]
    changed: tuple[str, ...] = ()
    need_restart: tuple[str, ...] = ()
    why: str = ""


class Reloading:
    """Looks whether the file has changed. Not thread-safe, and `look` reads files: use a thread.

    `settings` are those in force. Without a file there is nothing to watch.
    """

    def __init__(self, settings: Settings) -> None:
        self._file = type(settings).toml
        self._start = settings
        self._stamp = _stamp(self._file)
        self._subscribers: list[Take] = []
        self.settings = settings

    @property
    def file(self) -> Path | None:
        """What is watched."""
        return self._file

    def subscribe(self, take: Take) -> None:
        """Be told, where `look` is called, of new settings with any change in `LIVE` sections.

        The settings differ from the process's own in those sections only.
        """
        self._subscribers.append(take)

    def look(self) -> Reloaded | None:
        """Read the file if it has changed since the last look; None when it has not.

        A subscriber's WeighbridgeError means that the new settings cannot be used: what was in
        force stays so for everyone.
        """
        stamp = _stamp(self._file)
        if stamp == self._stamp or self._file is None:
            return None
        self._stamp = stamp
        try:
            read = load_settings(self._file)
        except WeighbridgeError as error:
            return Reloaded("wrong", why=str(error))
        names = type(self._start).model_fields
        differing = {name for name in names if _differs(self._start, read, name)}
        need_restart = tuple(sorted(differing - LIVE - _GIVEN_TO_PROCESSES))
        changed = tuple(sorted(name for name in LIVE if _differs(self.settings, read, name)))
        if not changed:
            return Reloaded("same", need_restart=need_restart)
        new = self.settings.model_copy(update={name: getattr(read, name) for name in changed})
        before = self.settings
        try:
            self._tell(new)
        except WeighbridgeError as error:
            self._tell(before)
            return Reloaded("wrong", need_restart=need_restart, why=str(error))
        self.settings = new
        return Reloaded("taken", changed, need_restart)

    def _tell(self, settings: Settings) -> None:
        for take in self._subscribers:
            take(settings)


_GIVEN_TO_PROCESSES: Final = frozenset({"kafka", "simulator", "local_model", "ops"})
"""What `up` and options say to each process differs from the file anyway."""

Stamp = tuple[int, int, int] | None


def _differs(one: Settings, other: Settings, name: str) -> bool:
    return bool(getattr(one, name) != getattr(other, name))


def _stamp(file: Path | None) -> Stamp:
    """What a write or a replacement of the file changes; None when it is not there."""
    if file is None:
        return None
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
