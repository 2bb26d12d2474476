"""Java's cache of loaded and profiled classes, made once, by a training run of a throw-away broker.

With it the broker is ready in half the time, and its first transactions cost half the CPU. It
belongs to exactly one JRE, set of jars and place: to any other it has another name.
"""

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from confluent_kafka import KafkaException

from broker.log.embedded.jar_lock import locked_jars
from broker.log.embedded.jars import Progress, only_fetcher
from broker.log.embedded.training import train
from broker.records.errors import WeighbridgeError

TRAINING_S = 5.0
ROOM_NEEDED = 300_000_000
KEPT = 3
"""Each virtual environment has a JRE of its own, so a cache of its own."""
_STOP_DEADLINE_S = 60.0

RunBroker = Callable[[Path, Sequence[str]], tuple[str, Callable[[float], object]]]
"""Starts a broker in a folder with more JVM flags; gives its bootstrap and how to stop it."""


def cache_file(java_path: Path, jars: Path) -> Path:
    """Where the cache for this JRE and these jars is, or would be."""
    release = java_path.parent.parent / "release"
    told = [
        *(str(java_path), str(jars), release.read_text() if release.exists() else ""),
        # Java compares the jars' times too, and would refuse a cache made of older ones.
        *(f"{jar.sha256} {(jars / jar.file_name).stat().st_mtime_ns}" for jar in locked_jars()),
    ]
    name = hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]
    return jars / f"classes-{name}.aot"


def cache_flags(cache: Path) -> tuple[str, ...]:
    """What makes Java use the cache; nothing while there is none."""
    if not cache.exists():
        return ()
    with contextlib.suppress(OSError):
        os.utime(cache)
    return (f"-XX:AOTCache={cache}",)


def make_cache(cache: Path, run_broker: RunBroker, tell: Progress) -> bool:
    """Make the cache if it is not there; whether it is there now.

    It only makes things quicker, so a failure is told, not raised. One process makes it, others
    wait for it.
    """
    if cache.exists():
        return True
    with only_fetcher(cache.parent, tell):
        if cache.exists():
            return True
        if shutil.disk_usage(cache.parent).free < ROOM_NEEDED:
            tell("too little disk for a cache of Java's classes; going on without")
            return False
        tell(f"training Java once for quicker starts (about {TRAINING_S + 8:.0f} s)")
        try:
            with tempfile.TemporaryDirectory(prefix="training-", dir=cache.parent) as folder:
                made = Path(folder) / "classes.aot"
                bootstrap, stop = run_broker(
                    Path(folder) / "kafka", (f"-XX:AOTCacheOutput={made}",)
                )
                try:
                    train(bootstrap, seconds=TRAINING_S)
                finally:
                    # Java writes the cache as it ends.
                    stop(_STOP_DEADLINE_S)
                made.replace(cache)
        except (WeighbridgeError, KafkaException, OSError) as error:
            tell(f"no cache of Java's classes could be made ({error}); going on without")
            return False
        _remove_oldest(cache.parent)
        return True


def _remove_oldest(folder: Path) -> None:
    """Keep the caches used last; one that a running JVM still has open may go too."""
    with contextlib.suppress(OSError):
        by_use = sorted(folder.glob("classes-*.aot"), key=lambda path: -path.stat().st_mtime)
        for old in by_use[KEPT:]:
            old.unlink()
