"""The pure parts of the embedded broker, and what it takes for its own process and ports."""

import json
import os
import socket
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

from broker.log.embedded import broker_process, class_cache, ports
from broker.log.embedded.class_cache import cache_file, cache_flags, make_cache
from broker.log.embedded.jvm import Profile, java, server_command
from broker.log.embedded.server_properties import Ports, render_properties, server_properties
from broker.records.errors import NotReadyError


def command(profile: Profile) -> list[str]:
    jars, place = Path("/jars"), Path("/place")
    return server_command(Path("/java"), jars, place, profile=profile, log_config=place)


def test_a_broker_that_stays_has_every_compiler_tier_and_a_test_s_only_the_quick_one() -> None:
    assert "-XX:TieredStopAtLevel=1" in command("short")
    assert not any("Tiered" in part for part in command("full"))
    for profile in ("full", "short"):
        assert "-XX:+UseSerialGC" in command(profile)


def test_a_single_node_neither_waits_for_others_nor_makes_topics_nobody_planned() -> None:
    told = server_properties(Path("/k"), Ports(1234, 1235))
    assert told["auto.create.topics.enable"] == "false"
    assert told["transaction.partition.verification.enable"] == "true"
    assert told["log.dirs"] == "/k/data"
    assert "127.0.0.1:1234" in told["advertised.listeners"]
    assert told["listeners"].count("//127.0.0.1:") == told["listeners"].count("//") == 2
    replicas = [value for name, value in told.items() if name.endswith("replication.factor")]
    assert set(replicas) == {"1"}


def test_paths_survive_java_s_properties_format() -> None:
    assert render_properties({"a": "C:\\ü/𝄞"}) == "a=C:\\\\\\u00fc/\\ud834\\udd1e\n"


def test_the_jre_is_the_installed_package_s() -> None:
    assert java().name == "java"
    assert java().exists()


def test_ports_are_remembered_and_the_controller_s_moves_when_taken(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    first = ports.choose(file)
    assert first.broker != first.controller
    assert ports.choose(file) == first
    with socket.socket() as other:
        other.bind(("127.0.0.1", first.controller))
        other.listen()
        second = ports.choose(file)
    assert second.broker == first.broker
    assert second.controller != first.controller


def test_a_taken_port_is_one_sentence_and_exit_code_3(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    chosen = ports.choose(file)
    with socket.socket() as other:
        other.bind(("127.0.0.1", chosen.broker))
        other.listen()
        with pytest.raises(NotReadyError) as told:
            ports.choose(file)
    assert (told.value.code, told.value.exit_code) == ("port_taken", 3)
    assert "--port" in told.value.mend
    assert ports.choose(file) == chosen


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"broker": "x"}'])
def test_damaged_memories_are_forgotten(damage: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text(damage)
    assert ports.remembered(file) is None
    assert broker_process.find(file, tmp_path) is None


def test_another_program_that_got_the_noted_pid_is_not_taken_for_the_broker(
    tmp_path: Path,
) -> None:
    file, mark = tmp_path / "kafka.pid", tmp_path / "server.properties"
    own = psutil.Process()
    broker_process.note(file, own.pid)
    assert broker_process.find(file, mark) is None, "its command line is not the broker's"
    argument = Path(own.cmdline()[-1])
    found = broker_process.find(file, argument)
    assert found is not None
    assert found.pid == os.getpid()
    file.write_text(json.dumps({"pid": own.pid, "began": own.create_time() - 60}))
    assert broker_process.find(file, argument) is None, "it began at another time"


def test_a_training_that_fails_is_told_and_costs_only_speed(tmp_path: Path) -> None:
    def run_broker(_folder: Path, flags: Sequence[str]) -> tuple[str, object]:
        assert flags[0].startswith("-XX:AOTCacheOutput=")
        raise NotReadyError("no luck.")

    told: list[str] = []
    cache = tmp_path / "classes-1.aot"
    assert not make_cache(cache, run_broker, told.append)  # type: ignore[arg-type] # it only raises
    assert "no luck" in told[-1]
    assert cache_flags(cache) == ()
    assert [path.name for path in tmp_path.iterdir()] == ["fetch.lock"]


def test_the_cache_of_classes_belongs_to_these_very_jars(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(class_cache, "locked_jars", tuple)
    name = cache_file(Path("/jre/bin/java"), tmp_path)
    assert name == cache_file(Path("/jre/bin/java"), tmp_path)
    assert name != cache_file(Path("/other/bin/java"), tmp_path)
    name.touch()
    assert cache_flags(name) == (f"-XX:AOTCache={name}",)
