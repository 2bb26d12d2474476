"""A real Apache Kafka, one broker in KRaft mode, without Docker and without an installed Java."""

import base64
import contextlib
import fcntl
import os
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from broker.log.embedded import broker_process, ports
from broker.log.embedded.jar_lock import kafka_version
from broker.log.embedded.jars import Progress, disk_error, fetch_jars
from broker.log.embedded.jvm import (
    JVM_ENVIRONMENT,
    Profile,
    format_command,
    java,
    server_command,
)
from broker.log.embedded.server_properties import (
    HOST,
    Ports,
    log_properties,
    render_properties,
    server_properties,
)
from broker.records.errors import NotReadyError, UsageError

START_DEADLINE_S = 60.0
STOP_DEADLINE_S = 30.0
_TAIL_LINES = 15
_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Running:
    """A broker that answers. `ready_s` is how long its start took, 0 when it already ran."""

    bootstrap: str
    pid: int
    ready_s: float


@dataclass(frozen=True, slots=True)
class Status:
    """What `weighbridge kafka status --json` prints. `bootstrap` is None before a first start."""

    running: bool
    bootstrap: str | None
    brokers: int
    version: str
    data: str


class EmbeddedKafka:
    """The broker whose data, ports and log lie in `folder`.

    ::

        kafka = EmbeddedKafka(folder, profile="short", owned=True)
        running = kafka.start(60)          # fetches Kafka on the first use of this machine
        ... running.bootstrap ...          # "127.0.0.1:PORT", the same after every start
        kafka.kill()                       # as kill -9; data survive, start() again
        kafka.stop()

    `owned`: the broker ends with this process, even if this one is killed. Otherwise it goes on
    after this process, and any other finds it again by the folder. `overrides` are broker
    properties that win over ours. Every method is safe beside other processes on the same folder.
    """

    def __init__(
        self,
        folder: Path,
        *,
        profile: Profile = "full",
        owned: bool = False,
        overrides: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder.absolute()
        self.profile = profile
        self.owned = owned
        self.overrides = dict(overrides or {})
        self.log_file = self.folder / "kafka.log"
        self._properties = self.folder / "server.properties"
        self._log_config = self.folder / "log4j2.properties"
        self._pid_file = self.folder / "kafka.pid"
        self._ports_file = self.folder / "ports.json"
        self._output = self.folder / "jvm.out"
        self._formatted = self.folder / "formatted"

    def start(
        self,
        deadline_s: float = START_DEADLINE_S,
        *,
        port: int | None = None,
        progress: Progress | None = None,
    ) -> Running:
        """Have the broker running and answering; at once when it already does.

        The deadline does not count the fetching of a first start, which has its own. Raises
        NotReadyError, with the last lines of the broker's log when it was the broker that failed.
        """
        tell = progress or (lambda _text: None)
        jars = fetch_jars(progress)
        java_path = java()
        ends = time.monotonic() + deadline_s
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._alone(ends):
                known = ports.remembered(self._ports_file)
                process = self._process()
                if process is not None and known is not None:
                    self._wait_ready(process, known, ends)
                    return Running(known.bootstrap, process.pid, 0.0)
                began = time.monotonic()
                chosen = ports.choose(self._ports_file, port=port)
                self._write_configuration(chosen)
                self._format_once(java_path, jars, ends, tell)
                tell(f"starting Apache Kafka {kafka_version()} at {chosen.bootstrap}")
                process = self._spawn(java_path, jars)
                self._wait_ready(process, chosen, ends)
                return Running(chosen.bootstrap, process.pid, time.monotonic() - began)
        except OSError as error:
            raise disk_error(error, self.folder) from error

    def stop(self, deadline_s: float = STOP_DEADLINE_S) -> bool:
        """End the broker, by force at the deadline; False when none ran. The data stay."""
        process = self._process()
        if process is None:
            return False
        broker_process.end(process, deadline_s=deadline_s)
        self._pid_file.unlink(missing_ok=True)
        return True

    def kill(self) -> None:
        """End the broker as a crash would (SIGKILL), for tests of what survives that."""
        process = self._process()
        if process is not None:
            broker_process.kill(process)

    def pid(self) -> int | None:
        """The broker's process id, or None when it does not run."""
        process = self._process()
        return None if process is None else process.pid

    def status(self) -> Status:
        """Whether it runs and accepts connections, and where. Needs no network and no JRE."""
        known = ports.remembered(self._ports_file)
        running = self._process() is not None and known is not None and _accepts(known)
        return Status(
            running=running,
            bootstrap=known.bootstrap if known else None,
            brokers=1 if running else 0,
            version=kafka_version(),
            data=str(self.folder),
        )

    def wipe(self) -> None:
        """Remove the data, the log and the remembered ports; raises UsageError while it runs."""
        if self._process() is not None:
            raise UsageError(
                "The embedded Kafka is running, so its data cannot be removed.",
                mend="Run `weighbridge kafka stop` first.",
                code="still_running",
            )
        if self.folder.exists():
            with self._alone(time.monotonic() + STOP_DEADLINE_S):
                shutil.rmtree(self.folder)

    def _process(self) -> psutil.Process | None:
        return broker_process.find(self._pid_file, self._properties)

    @contextmanager
    def _alone(self, ends: float) -> Iterator[None]:
        """One start or wipe at a time; a process that died does not hold it."""
        with (self.folder / "lock").open("a") as lock:
            _poll(lambda: _try_lock(lock.fileno()), ends, self._busy)
            yield

    def _busy(self) -> NotReadyError:
        return NotReadyError(
            f"Another process has been starting the Kafka in {self.folder} for too long.",
            mend="End that process, then try again.",
            code="start_locked",
        )

    def _write_configuration(self, chosen: Ports) -> None:
        properties = server_properties(self.folder, chosen) | self.overrides
        self._properties.write_text(render_properties(properties))
        self._log_config.write_text(render_properties(log_properties(self.log_file)))

    def _format_once(self, java_path: Path, jars: Path, ends: float, tell: Progress) -> None:
        # Our own mark, written last: a format that was cut off is done again.
        if self._formatted.exists():
            return
        tell("preparing an empty data folder")
        identity = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
        command = format_command(java_path, jars, self._properties, f"w{identity[1:]}")
        try:
            done = subprocess.run(  # noqa: S603 - our own command, without a shell
                command,
                env=self._environ(),
                capture_output=True,
                timeout=max(1.0, ends - time.monotonic()),
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise self._failed("did not prepare its data folder in time", "") from None
        if done.returncode != 0:
            said = (done.stdout + done.stderr).decode(errors="replace")
            raise self._failed("could not prepare its data folder", said)
        self._formatted.touch()

    def _spawn(self, java_path: Path, jars: Path) -> psutil.Process:
        command = server_command(
            java_path, jars, self._properties, profile=self.profile, log_config=self._log_config
        )
        self._output.write_bytes(b"")
        child = broker_process.spawn(
            command, environ=self._environ(), output=self._output, owned=self.owned
        )
        with contextlib.suppress(psutil.NoSuchProcess):
            broker_process.note(self._pid_file, child.pid)
            return psutil.Process(child.pid)
        raise self._failed("ended at once", self._last_lines())

    def _environ(self) -> dict[str, str]:
        # Options for other Java programs of this user are not meant for the broker.
        unwanted = {"JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "CLASSPATH"}
        kept = {name: value for name, value in os.environ.items() if name not in unwanted}
        return kept | JVM_ENVIRONMENT

    def _wait_ready(self, process: psutil.Process, chosen: Ports, ends: float) -> None:
        def accepts() -> bool:
            if not broker_process.alive(process):
                raise self._died(chosen)
            return _accepts(chosen)

        def not_ready() -> NotReadyError:
            return self._failed("did not answer in time", self._last_lines())

        _poll(accepts, ends, not_ready)
        admin = AdminClient({"bootstrap.servers": chosen.bootstrap, "log_level": 0})
        _poll(lambda: accepts() and _answers(admin), ends, not_ready)

    def _died(self, chosen: Ports) -> NotReadyError:
        said = self._last_lines()
        if "Address already in use" in said:
            return ports.port_taken(chosen.broker)
        return self._failed("ended while it was starting", said)

    def _failed(self, what: str, said: str) -> NotReadyError:
        lines = "\n".join(said.strip().splitlines()[-_TAIL_LINES:])
        quoted = f" Its last lines:\n{lines}\n" if lines else ""
        return NotReadyError(
            f"The embedded Kafka {what}.{quoted}",
            mend=f"The whole log is {self.log_file}; `weighbridge kafka wipe` starts it anew, "
            "without its data.",
            code="kafka_failed",
        )

    def _last_lines(self) -> str:
        found = [_tail(self._output), _tail(self.log_file)]
        return "\n".join(part for part in found if part)


def _tail(path: Path, size: int = 4096) -> str:
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - size))
            return file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _accepts(chosen: Ports) -> bool:
    try:
        with socket.create_connection((HOST, chosen.broker), timeout=1.0):
            return True
    except OSError:
        return False


def _answers(admin: AdminClient) -> bool:
    try:
        return len(admin.list_topics(timeout=1.0).brokers) > 0
    except KafkaException:
        return False


def _poll(condition: Callable[[], bool], ends: float, failure: Callable[[], NotReadyError]) -> None:
    """Wait for the condition; raises the failure when time is over."""
    while not condition():
        if time.monotonic() > ends:
            raise failure()
        time.sleep(_POLL_S)
