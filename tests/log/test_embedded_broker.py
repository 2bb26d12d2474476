"""The embedded broker as it is lived with: data through every end, one of it, none left behind.

Slow (each start is 1 to 4 s of a JVM), so that each test tells a whole life.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from broker.log.embedded import EmbeddedKafka, broker_process
from broker.records.errors import NotReadyError, UsageError

START_S = 60.0
STARTER = """
import sys, pathlib
from broker.log.embedded import EmbeddedKafka
kafka = EmbeddedKafka(pathlib.Path(sys.argv[1]), profile="short", owned=sys.argv[2] == "owned")
running = kafka.start(60)
print(running.bootstrap, running.pid, flush=True)
sys.stdin.read()
"""


def write(bootstrap: str, value: bytes) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "log_level": 0})
    answers: list[object] = []
    producer.produce("t", value, on_delivery=lambda error, _: answers.append(error))
    assert producer.flush(30) == 0
    assert answers == [None]


def read_all(bootstrap: str, count: int) -> list[bytes | None]:
    reader = Consumer({"bootstrap.servers": bootstrap, "group.id": "g", "log_level": 0})
    reader.assign([TopicPartition("t", 0, 0)])
    found: list[bytes | None] = []
    ends = time.monotonic() + 30
    while len(found) < count and time.monotonic() < ends:
        found += [record.value() for record in reader.consume(10, 0.2) if not record.error()]
    reader.close()
    return found


def eventually(condition: Callable[[], bool], within_s: float = 20.0) -> bool:
    ends = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > ends:
            return False
        time.sleep(0.05)
    return True


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedKafka]:
    kafka = EmbeddedKafka(tmp_path / "kafka", profile="short", owned=True)
    yield kafka
    kafka.stop()


@pytest.fixture
def starter(tmp_path: Path) -> Iterator[Callable[[str], "subprocess.Popen[str]"]]:
    """Starts a process that starts a broker in the folder `kafka`, says where, and waits."""
    started: list[subprocess.Popen[str]] = []

    def start(kind: str) -> "subprocess.Popen[str]":
        words = [sys.executable, "-c", STARTER, str(tmp_path / "kafka"), kind]
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate(timeout=10)
    EmbeddedKafka(tmp_path / "kafka").stop()


def test_data_and_port_survive_a_stop_and_a_kill(broker: EmbeddedKafka) -> None:
    first = broker.start(START_S)
    admin = AdminClient({"bootstrap.servers": first.bootstrap, "log_level": 0})
    admin.create_topics([NewTopic("t", 1, 1)])["t"].result(timeout=30)
    write(first.bootstrap, b"one")
    assert broker.stop()
    assert not broker.stop(), "there is none to stop any more"

    second = broker.start(START_S)
    assert second.bootstrap == first.bootstrap
    assert broker.start(START_S).pid == second.pid, "a second start finds the first"
    write(second.bootstrap, b"two")
    broker.kill()
    assert not broker.status().running

    third = broker.start(START_S)
    assert third.bootstrap == first.bootstrap
    assert read_all(third.bootstrap, 2) == [b"one", b"two"]
    with pytest.raises(UsageError, match="running"):
        broker.wipe()
    broker.stop()
    broker.wipe()
    assert not broker.files.root.exists()
    assert broker.status().bootstrap is None


def test_an_owned_broker_ends_with_its_owner_even_if_that_one_is_killed(
    starter: Callable[[str], "subprocess.Popen[str]"],
) -> None:
    owner = starter("owned")
    assert owner.stdout is not None
    pid = int(owner.stdout.readline().split()[1])
    assert broker_process.alive(psutil.Process(pid))
    owner.send_signal(signal.SIGKILL)
    assert eventually(lambda: not psutil.pid_exists(pid))


def test_two_that_start_at_once_get_one_broker_which_outlives_them(
    starter: Callable[[str], "subprocess.Popen[str]"], tmp_path: Path
) -> None:
    both = [starter("detached"), starter("detached")]
    told = {process.stdout.readline() for process in both if process.stdout is not None}
    assert len(told) == 1
    for process in both:
        process.communicate(timeout=30)
    kafka = EmbeddedKafka(tmp_path / "kafka")
    status = kafka.status()
    assert status.running
    assert told == {f"{status.bootstrap} {kafka.pid()}\n"}
    assert kafka.stop()
    assert not kafka.status().running


def test_a_broker_that_does_not_come_up_tells_its_last_words(tmp_path: Path) -> None:
    kafka = EmbeddedKafka(
        tmp_path / "kafka", profile="short", owned=True, overrides={"num.io.threads": "none"}
    )
    with pytest.raises(NotReadyError) as told:
        kafka.start(START_S)
    assert told.value.exit_code == 3
    assert "num.io.threads" in told.value.message
    assert "kafka.log" in told.value.mend
    assert kafka.pid() is None


def test_a_broker_that_stays_is_ready_soon_and_small(tmp_path: Path) -> None:
    kafka = EmbeddedKafka(tmp_path / "kafka", profile="full", owned=True)
    kafka.prepare()
    try:
        running = kafka.start(START_S)
        assert psutil.Process(running.pid).memory_info().rss < 400e6
        kafka.stop()
        assert kafka.start(START_S).ready_s < 10, "5 s on a machine that does nothing else"
    finally:
        kafka.stop()


def test_the_commands_as_a_user_types_them(tmp_path: Path) -> None:
    environ = {
        **os.environ,
        "XDG_DATA_HOME": str(tmp_path / "data"),
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }

    def weighbridge(*words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "broker.cli", *words],
            env=environ,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
            cwd=tmp_path,
        )

    def status() -> dict[str, object]:
        found: dict[str, object] = json.loads(weighbridge("kafka", "status", "--json").stdout)
        return found

    data = str(tmp_path / "data" / "weighbridge" / "kafka")
    stopped = {"running": False, "bootstrap": None, "brokers": 0, "version": "4.3.1", "data": data}
    assert status() == stopped
    planned = weighbridge("topics", "plan")
    assert planned.returncode == 3
    assert "weighbridge kafka start" in planned.stderr
    assert len(planned.stderr.splitlines()) == 1

    started = weighbridge("kafka", "start")
    try:
        bootstrap = started.stdout.strip()
        assert started.returncode == 0, started.stderr
        running = {"running": True, "bootstrap": bootstrap, "brokers": 1}
        assert status() == {**stopped, **running}
        assert weighbridge("kafka", "wipe", "--yes").returncode == 2
        changes = json.loads(weighbridge("topics", "plan", "--json").stdout)["changes"]
        assert {change["action"] for change in changes} == {"create"}
        applied = json.loads(weighbridge("topics", "apply", "--json").stdout)["changes"]
        assert [row["topic"] for row in applied] == [row["topic"] for row in changes]
        assert json.loads(weighbridge("topics", "apply", "--json").stdout) == {"changes": []}
    finally:
        assert weighbridge("kafka", "stop").returncode == 0
    assert status() == {**stopped, "bootstrap": bootstrap}
    assert weighbridge("kafka", "wipe", "--yes").returncode == 0
    assert status() == stopped
