"""Fetching Kafka's jars once, verified, into a folder that all checkouts and processes share."""

import errno
import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import platformdirs

from broker.log.embedded.jar_lock import LockedJar, kafka_version, locked_jars
from broker.records.errors import NotReadyError

JARS_VARIABLE = "WEIGHBRIDGE_JARS_DIR"
FETCHERS = 8
TRIES = 3
FETCH_DEADLINE_S = 300.0
_RETRY_S = 0.5
_ROOM_NEEDED = 3
"""Free disk must be this many times what is still to come: the jars, the copy in hand, the log."""

Progress = Callable[[str], None]
"""Told, in words for a person, what is being done and how far it is."""


def jars_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where the jars of this Kafka version lie, whether or not they are there yet."""
    given = environ.get(JARS_VARIABLE)
    base = Path(given) if given else platformdirs.user_data_path("weighbridge") / "jars"
    return base / f"kafka-{kafka_version()}"


def class_path(folder: Path) -> str:
    """Java's class path of the locked jars in this folder, in a fixed order."""
    return os.pathsep.join(str(folder / jar.file_name) for jar in locked_jars())


def fetch_jars(progress: Progress | None = None, *, folder: Path | None = None) -> Path:
    """Have every locked jar in `folder`, each one's bytes verified now; returns the folder.

    Safe when several processes do it at once: one fetches, the others wait. Needs no network when
    all are there. Raises NotReadyError when they cannot be had.
    """
    chosen = folder or jars_folder()
    tell = progress or (lambda _text: None)
    try:
        wanting = _wanting(chosen)
        if wanting:
            chosen.mkdir(parents=True, exist_ok=True)
            with only_fetcher(chosen, tell):
                wanting = _wanting(chosen)
                if wanting:
                    _fetch(chosen, wanting, tell)
    except OSError as error:
        raise disk_error(error, chosen) from error
    return chosen


def disk_error(error: OSError, folder: Path) -> NotReadyError:
    """What a failing disk means for the embedded broker, in one sentence for a person."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return NotReadyError(
            f"The disk that holds {folder} is full.",
            mend=f"Free some space there, or set {JARS_VARIABLE} and XDG_DATA_HOME to folders on "
            "another disk.",
            code="no_disk_space",
        )
    return NotReadyError(
        f"{folder} cannot be used: {error.strerror or error}.",
        mend=f"Make it writable, or set {JARS_VARIABLE} and XDG_DATA_HOME to other folders.",
        code="folder_unusable",
    )


def _wanting(folder: Path) -> list[LockedJar]:
    """The locked jars that are not there, or whose bytes are not what the lock says."""
    with ThreadPoolExecutor(FETCHERS) as pool:
        sound = pool.map(lambda jar: _is_sound(folder / jar.file_name, jar), locked_jars())
        return [jar for jar, good in zip(locked_jars(), sound, strict=True) if not good]


def _is_sound(path: Path, jar: LockedJar) -> bool:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == jar.sha256
    except FileNotFoundError:
        return False


@contextmanager
def only_fetcher(folder: Path, tell: Progress) -> Iterator[None]:
    """Hold the folder's lock; a process that died does not keep it.

    Raises NotReadyError when another holds it for too long.
    """
    with (folder / "fetch.lock").open("a") as lock:
        _lock(lock, tell)
        yield


def _lock(lock: IO[str], tell: Progress) -> None:
    ends = time.monotonic() + FETCH_DEADLINE_S
    told = False
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > ends:
                raise NotReadyError(
                    "Another process has been preparing Kafka's jars for too long.",
                    mend=f"End the process that holds {lock.name}, then try again.",
                    code="fetch_locked",
                ) from None
            if not told:
                tell("waiting for another process that prepares Kafka")
                told = True
            time.sleep(0.1)
        else:
            return


def _fetch(folder: Path, wanting: Sequence[LockedJar], tell: Progress) -> None:
    size = sum(jar.size for jar in wanting)
    if shutil.disk_usage(folder).free < size * _ROOM_NEEDED:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    context_type = _maven_context()
    megabytes = size / 1e6
    tell(f"fetching Apache Kafka {kafka_version()}: {len(wanting)} jars, {megabytes:.0f} MB")
    fetched = 0
    with tempfile.TemporaryDirectory(dir=folder, prefix="fetching-") as spool:
        # jgo writes straight to its cache, so a cut download would look whole: ours is a spool,
        # and a jar moves to its place only when its bytes are right.
        context = context_type(repo_cache=Path(spool), timeout=30)
        ends = time.monotonic() + FETCH_DEADLINE_S
        with ThreadPoolExecutor(FETCHERS) as pool:
            jobs = {pool.submit(_fetch_one, context, jar, folder, ends): jar for jar in wanting}
            try:
                for count, job in enumerate(as_completed(jobs), 1):
                    job.result()
                    fetched += jobs[job].size
                    tell(f"fetched {count} of {len(wanting)} jars, {fetched / 1e6:.0f} MB")
            finally:
                pool.shutdown(wait=False, cancel_futures=True)


def _maven_context() -> Any:
    try:
        from jgo.maven import MavenContext  # noqa: PLC0415 - optional, and slow to import
    except ImportError:
        raise embedded_extra_missing("jgo") from None
    return MavenContext


def embedded_extra_missing(package: str) -> NotReadyError:
    """The packages of the extra `embedded` are not installed."""
    return NotReadyError(
        f"The embedded Kafka needs the Python package {package}, which is not installed.",
        mend="Run `pip install 'weighbridge[embedded]'`, or name your own broker with "
        "--kafka HOST:PORT.",
        code="extra_missing",
    )


def _fetch_one(context: Any, jar: LockedJar, folder: Path, ends: float) -> None:
    reason = ""
    for attempt in range(TRIES):
        if attempt:
            if time.monotonic() + _RETRY_S > ends:
                break
            time.sleep(_RETRY_S)
        try:
            component = context.project(jar.group, jar.artifact).at_version(jar.version)
            artifact = component.artifact()
            path = Path(artifact.resolve())
            if _is_sound(path, jar):
                path.replace(folder / jar.file_name)
                return
            reason = "its bytes are not those in the lock"
            path.unlink()
        except OSError as error:
            # The HTTP client's errors are OSErrors too; those of the disk carry an errno of ours.
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
                raise
            reason = type(error).__name__
            _forget(context, jar)
        except RuntimeError:
            reason = "the repository does not have it"
    raise NotReadyError(
        f"Kafka's jar {jar.file_name} could not be fetched: {reason}.",
        mend="The first start needs the network: check it (HTTPS_PROXY is respected), then try "
        f"again, or copy the jars of another machine to {folder}.",
        code="no_network",
    )


def _forget(context: Any, jar: LockedJar) -> None:
    """Remove a cut download, which jgo would otherwise take for a whole one."""
    left = Path(context.repo_cache, *jar.group.split("."), jar.artifact, jar.version, jar.file_name)
    left.unlink(missing_ok=True)
