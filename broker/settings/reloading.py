"""The settings file, watched while a process runs: what in it may change takes effect by itself.

Subscribers are told of new settings that are valid as a whole. A wrong file keeps what was there,
and says so; what differs in settings that only a start reads is named.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from broker.records.errors import WeighbridgeError
from broker.settings.live import differing, is_live, with_live
from broker.settings.loading import Settings, load_settings

Take = Callable[[Settings], None]


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What became of a changed file.

    `changed` are the sections that are in force now, `need_restart` the settings (dotted names)
    that differ from what this process started with and are not. `why` says what is wrong in a file
    that is not used.
    """

    outcome: Literal["taken", "same", "wrong"]
    changed: tuple[str, ...] = ()
    need_restart: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class _Stamp:
    """What a write or a replacement of the file changes."""

    changed_ns: int
    size: int
    inode: int


AGAIN: Final = 10
_UNREAD: Final = _Stamp(-1, -1, -1)
_SAME: Final = Reloaded("same")
_BOOTSTRAP: Final = "kafka.bootstrap"


class Reloading:
    """Looks whether the file has changed. Not thread-safe, and `look` reads files: use a thread.

    A changed file is read once two looks in a row have found it alike: whoever writes in place
    leaves it empty or half written for a moment, and half a file may well be valid. The first look
    reads it in any case, as it may have changed while the process started.

    `settings` are those in force. Without a file there is nothing to watch.
    """

    def __init__(self, settings: Settings) -> None:
        self._file = type(settings).toml
        self._start = settings
        self._bootstrap: str | None = None
        self._seen = _stamp(self._file)
        self._read: _Stamp | None = _UNREAD
        self._found: Reloaded | None = None
        self._again_in = 0
        self._subscribers: list[Take] = []
        self.settings = settings

    @property
    def file(self) -> Path | None:
        """What is watched."""
        return self._file

    def subscribe(self, take: Take) -> None:
        """Be told, where `look` is called, of new settings with any change that may be live.

        The settings differ from the process's own in nothing else.
        """
        self._subscribers.append(take)

    def look(self) -> Reloaded | None:
        """Read the file if it has changed and rests; None when there is nothing to tell.

        A subscriber's WeighbridgeError means that the new settings cannot be used: what was in
        force stays so for everyone; also with any other exception, which is raised. What it misses
        may come (a broker that is away, a file of prices), so every `AGAIN` looks it is tried
        again; that is told when it ends in another way.
        """
        file, stamp = self._file, _stamp(self._file)
        again = stamp == self._read
        if file is None or (again and not self._is_due()):
            return None
        if stamp != self._seen:
            self._seen = stamp
            return None
        before, self._read, self._again_in = self._read, stamp, 0
        try:
            given = load_settings(file)
        except WeighbridgeError as error:
            return Reloaded("wrong", why=str(error))
        if _stamp(file) != stamp:  # written while it was read
            self._read = before
            return None
        found = self._compare(given, is_empty=stamp is not None and not stamp.size)
        known = self._found if again else _SAME if before is _UNREAD else None
        self._found = found
        return None if found == known else found

    def _compare(self, given: Settings, *, is_empty: bool) -> Reloaded:
        in_force = self.settings
        need_restart = self._need_restart(given)
        live = {name.partition(".")[0] for name in differing(in_force, given) if is_live(name)}
        if is_empty and (live or need_restart):
            # So a full disk leaves it.
            why = f"The settings file {self._file} is empty. {_LEAVE_A_COMMENT}"
            return Reloaded("wrong", why=why)
        if not live:
            return Reloaded("same", need_restart=need_restart)
        try:
            new = with_live(in_force, given)
            self._tell(new)
        except WeighbridgeError as error:
            self._again_in = AGAIN
            return Reloaded("wrong", need_restart=need_restart, why=str(error))
        self.settings = new
        return Reloaded("taken", tuple(sorted(live)), need_restart)

    def _is_due(self) -> bool:
        """Whether what could not be taken is to be tried again."""
        if not self._again_in:
            return False
        self._again_in -= 1
        return not self._again_in

    def _tell(self, new: Settings) -> None:
        """Tell all; when one cannot take it, all are told what is in force instead."""
        try:
            for take in self._subscribers:
                take(new)
        except Exception:
            for take in self._subscribers:
                with suppress(WeighbridgeError):
                    take(self.settings)
            raise

    def _need_restart(self, given: Settings) -> tuple[str, ...]:
        """What differs from the start, but for the broker's address: an option may have said it."""
        if self._bootstrap is None:
            self._bootstrap = given.kafka.bootstrap
        found = [name for name in differing(self._start, given) if not is_live(name)]
        if _BOOTSTRAP in found:
            found.remove(_BOOTSTRAP)
        moved = given.kafka.bootstrap != self._bootstrap
        return (_BOOTSTRAP, *found) if moved else tuple(found)


_LEAVE_A_COMMENT: Final = "Leave a comment in it, if nothing of it is to be in force any more."


def _stamp(file: Path | None) -> _Stamp | None:
    """None when it is not there."""
    if file is None:
        return None
    try:
        found = file.stat()
    except OSError:
        return None
    return _Stamp(found.st_mtime_ns, found.st_size, found.st_ino)
