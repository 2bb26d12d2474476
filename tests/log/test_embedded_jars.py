"""The jars of Kafka: fetched once, verified always, never half a jar, in words when it fails."""

import errno
import hashlib
import shutil
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from broker.log.embedded import jars
from broker.log.embedded.jar_lock import LockedJar, kafka_version, locked_jars, parse_lock
from broker.log.embedded.jars import fetch_jars, jars_folder
from broker.records.errors import NotReadyError

CONTENTS = {f"part-{n}": f"jar {n}".encode() * 100 for n in range(4)}
LOCK = tuple(
    LockedJar("org.example", name, "1.0", hashlib.sha256(data).hexdigest(), len(data))
    for name, data in CONTENTS.items()
)


Serve = Callable[[Path, bytes], None]


def whole(path: Path, data: bytes) -> None:
    path.write_bytes(data)


class Repository:
    """A stand-in for jgo's Maven context: writes to its cache as jgo does, counts fetches."""

    def __init__(self) -> None:
        self.fetched: list[str] = []
        self.serve: Serve = whole
        self._lock = threading.Lock()

    def context(self, *, repo_cache: Path, timeout: int) -> Any:
        assert timeout > 0

        def resolve(group: str, name: str, version: str) -> Path:
            path = Path(repo_cache, *group.split("."), name, version, f"{name}-{version}.jar")
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists():  # jgo takes what is in its cache for whole
                return path
            with self._lock:
                self.fetched.append(name)
            self.serve(path, CONTENTS[name])
            return path

        def project(group: str, name: str) -> Any:
            return SimpleNamespace(
                at_version=lambda version: SimpleNamespace(
                    artifact=lambda: SimpleNamespace(resolve=lambda: resolve(group, name, version))
                )
            )

        return SimpleNamespace(repo_cache=repo_cache, project=project)


@pytest.fixture
def repository(monkeypatch: pytest.MonkeyPatch) -> Repository:
    there = Repository()
    monkeypatch.setattr(jars, "locked_jars", lambda: LOCK)
    monkeypatch.setattr(jars, "_maven_context", lambda: there.context)
    monkeypatch.setattr(jars, "_RETRY_S", 0.0)
    return there


def test_the_lock_names_kafka_with_a_hash_for_each_jar() -> None:
    assert kafka_version() == "4.3.1"
    assert len(locked_jars()) == 46
    assert len({jar.file_name for jar in locked_jars()}) == 46
    versions = {jar.version for jar in locked_jars() if jar.group == "org.apache.kafka"}
    assert versions == {"4.3.1"}


def test_a_lock_without_a_hash_is_refused() -> None:
    with pytest.raises(ValueError, match="no SHA-256"):
        parse_lock("a:b:1 abc 5")


def test_all_are_fetched_once_and_told(repository: Repository, tmp_path: Path) -> None:
    told: list[str] = []
    assert fetch_jars(told.append, folder=tmp_path / "jars") == tmp_path / "jars"
    fetch_jars(told.append, folder=tmp_path / "jars")
    assert sorted(repository.fetched) == sorted(CONTENTS)
    assert told[0].startswith("fetching Apache Kafka 4.3.1: 4 jars")
    assert told[-1].startswith("fetched 4 of 4 jars")
    left = {path.name for path in (tmp_path / "jars").iterdir()}
    assert left == {jar.file_name for jar in LOCK} | {"fetch.lock"}


def test_a_damaged_jar_is_found_before_use_and_fetched_again(
    repository: Repository, tmp_path: Path
) -> None:
    fetch_jars(folder=tmp_path)
    (tmp_path / "part-2-1.0.jar").write_bytes(b"damaged")
    repository.fetched.clear()
    fetch_jars(folder=tmp_path)
    assert repository.fetched == ["part-2"]
    assert (tmp_path / "part-2-1.0.jar").read_bytes() == CONTENTS["part-2"]


def test_other_bytes_than_the_locked_ones_never_reach_the_folder(
    repository: Repository, tmp_path: Path
) -> None:
    repository.serve = lambda path, data: whole(path, data + b"!")
    with pytest.raises(NotReadyError, match="not those in the lock"):
        fetch_jars(folder=tmp_path)
    assert list(tmp_path.glob("*.jar")) == []


def test_a_cut_download_is_not_taken_for_a_jar(repository: Repository, tmp_path: Path) -> None:
    cut: set[str] = set()

    def serve(path: Path, data: bytes) -> None:
        if path.name in cut:
            path.write_bytes(data)
            return
        cut.add(path.name)
        path.write_bytes(data[:5])
        raise ConnectionResetError("cut")

    repository.serve = serve
    fetch_jars(folder=tmp_path)
    assert all((tmp_path / f"{name}-1.0.jar").read_bytes() == CONTENTS[name] for name in CONTENTS)


def test_no_network_is_one_sentence_and_exit_code_3(repository: Repository, tmp_path: Path) -> None:
    def serve(path: Path, _data: bytes) -> None:
        raise ConnectionError(path)

    repository.serve = serve
    with pytest.raises(NotReadyError) as told:
        fetch_jars(folder=tmp_path)
    assert (told.value.code, told.value.exit_code) == ("no_network", 3)
    assert "needs the network" in told.value.mend


@pytest.mark.usefixtures("repository")
def test_no_disk_space_is_told_before_anything_is_fetched(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: SimpleNamespace(free=1000))
    with pytest.raises(NotReadyError) as told:
        fetch_jars(folder=tmp_path)
    assert (told.value.code, told.value.exit_code) == ("no_disk_space", 3)
    assert "WEIGHBRIDGE_JARS_DIR" in told.value.mend


def test_a_disk_that_fills_up_meanwhile_is_told(repository: Repository, tmp_path: Path) -> None:
    def serve(_path: Path, _data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    repository.serve = serve
    with pytest.raises(NotReadyError) as told:
        fetch_jars(folder=tmp_path)
    assert told.value.code == "no_disk_space"


def test_a_missing_fetcher_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "jgo.maven", None)
    with pytest.raises(NotReadyError, match="jgo") as told:
        fetch_jars(folder=tmp_path)
    assert "weighbridge[embedded]" in told.value.mend


def test_two_that_fetch_at_once_fetch_each_jar_once(repository: Repository, tmp_path: Path) -> None:
    both = threading.Barrier(2, timeout=10)

    def fetch() -> None:
        both.wait()
        fetch_jars(folder=tmp_path)

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(fetch), pool.submit(fetch)]:
            done.result(timeout=30)
    assert sorted(repository.fetched) == sorted(CONTENTS)


def test_the_folder_can_be_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    assert jars_folder({"WEIGHBRIDGE_JARS_DIR": "/x"}) == Path("/x/kafka-4.3.1")
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert jars_folder({}) == Path("/data/weighbridge/jars/kafka-4.3.1")
