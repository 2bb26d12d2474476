"""What is left of a failure that nobody foresaw: a note with the way to it, and no values."""

import os
import sys
import time
import traceback
from pathlib import Path

from broker import __version__
from broker.telemetry.safe_traceback import traceback_without_values

_ROOT = Path(__file__).parents[1]
_KEPT = 20
"""Older notes are removed."""


def note_crash(error: BaseException, command: str | None) -> str:
    """Write the note; returns the sentence for the user, which names the file."""
    what = type(error).__name__
    where = _place(error)
    try:
        path = _write(error, command)
    except OSError:
        return f"an unexpected {what} at {where}; its details could not be written."
    return f"an unexpected {what} at {where}. This is a mistake in Weighbridge; details: {path}"


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return "an unknown place"
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(_ROOT)]
    last = (ours or frames)[-1]
    return f"{Path(last.filename).name}:{last.lineno}"


def _write(error: BaseException, command: str | None) -> Path:
    from broker.settings.loading import state_folder

    folder = state_folder() / "crashes"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for old in sorted(folder.glob("*.txt"))[: -(_KEPT - 1)]:
        old.unlink(missing_ok=True)
    path = folder / f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.getpid()}.txt"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(_told(error, command))
    return path


def _told(error: BaseException, command: str | None) -> str:
    return (
        f"weighbridge {__version__}, Python {sys.version.split()[0]}, {sys.platform}\n"
        f"command: {command or '(none)'}\n\n{traceback_without_values(error)}\n"
    )
