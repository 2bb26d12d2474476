"""What a log has got since a moment, also when it is turned over meanwhile."""

from pathlib import Path

ROLLED = ".1"
"""What follows the name of the log before this one (`server_properties` has it so)."""


class LogTail:
    """From the end of `log` as it is now. Of one that is turned over twice only the end is left."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._rolled = log.with_name(log.name + ROLLED)
        try:
            stat = log.stat()
        except FileNotFoundError:
            self._begun, self._offset = -1, 0
        else:
            self._begun, self._offset = stat.st_ino, stat.st_size

    def read(self) -> str:
        """All of it so far."""
        return self._part(self._rolled, whole=False) + self._part(self._log, whole=True)

    def _part(self, path: Path, *, whole: bool) -> str:
        """What belongs to us of one file; one that is not the file we began with is new, or old."""
        try:
            with path.open("rb") as file:
                if path.stat().st_ino == self._begun:
                    file.seek(self._offset)
                elif not whole:
                    return ""
                return file.read().decode(errors="replace")
        except FileNotFoundError:
            return ""
