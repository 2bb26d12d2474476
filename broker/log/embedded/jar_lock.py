"""The list of jars that make Apache Kafka, with what each must hash to (`jars.lock`)."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

KAFKA_ARTIFACT = "kafka_2.13"
_SHA256_HEX = 64


@dataclass(frozen=True, slots=True)
class LockedJar:
    """One line of the lock: Maven coordinates, SHA-256 in hex, size in bytes."""

    group: str
    artifact: str
    version: str
    sha256: str
    size: int

    @property
    def file_name(self) -> str:
        """The file's name, as Maven gives it."""
        return f"{self.artifact}-{self.version}.jar"


def parse_lock(text: str) -> tuple[LockedJar, ...]:
    """Read lines of `group:artifact:version sha256 bytes`; raises ValueError on any other."""
    jars = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        coordinates, sha256, size = line.split()
        group, artifact, version = coordinates.split(":")
        if len(sha256) != _SHA256_HEX:
            raise ValueError(f"{coordinates} has no SHA-256 in the lock of jars")
        jars.append(LockedJar(group, artifact, version, sha256, int(size)))
    return tuple(jars)


@cache
def locked_jars() -> tuple[LockedJar, ...]:
    """The jars that this version of Weighbridge runs."""
    return parse_lock(files(__package__).joinpath("jars.lock").read_text("utf-8"))


@cache
def kafka_version() -> str:
    """The version of Apache Kafka in the lock, such as `4.3.1`."""
    return next(jar.version for jar in locked_jars() if jar.artifact == KAFKA_ARTIFACT)
