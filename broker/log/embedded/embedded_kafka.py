"""A real Apache Kafka, one broker in KRaft mode, without Docker and without an installed Java."""

import contextlib
import fcntl
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from broker.log.embedded import broker_process, fencing, ports
from broker.log.embedded.broker_folder import BrokerFolder
from broker.log.embedded.class_cache import cache_file, cache_flags, make_cache
from broker.log.embedded.jar_lock import kafka_version
from broker.log.embedded.jars import Progress, disk_error, fetch_jars
from broker.log.embedded.jvm import Profile, java
from broker.log.embedded.launch import Launch
from broker.log.embedded.readiness import accepts, answers, wait_for
from broker.log.embedded.server_properties import Ports
from broker.records.errors import NotReadyError, UsageError

START_DEADLINE_S = 60.0
STOP_DEADLINE_S = 30.0


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
    properties, and `java_flags` flags of the JVM, that win over ours. Every method is safe beside
    other processes on the same folder. `files` has the paths, the log's among them.
    """

    def __init__(
        self,
        folder: Path,
        *,
        profile: Profile = "full",
        owned: bool = False,
        overrides: Mapping[str, str] | None = None,
        java_flags: Sequence[str] = (),
    ) -> None:
        self.files = BrokerFolder(folder)
        self.profile = profile
        self.owned = owned
        self.overrides = dict(overrides or {})
        self._java_flags = tuple(java_flags)

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
        java_path, jars, cache = self._prepared(tell)
        ends = time.monotonic() + deadline_s
        try:
            self.files.root.mkdir(parents=True, exist_ok=True)
            with self._alone(ends):
                known = ports.remembered(self.files.ports)
                process = self._process()
                if process is not None and known is not None:
                    self._wait_ready(process, known, ends)
                    return Running(known.bootstrap, process.pid, 0.0)
                began = time.monotonic()
                chosen = ports.choose(self.files.ports, port=port)
                self.files.configure(chosen, self.overrides)
                flags = (*cache_flags(cache), *self._java_flags)
                launch = Launch(self.files, java_path, jars, self.profile, flags)
                if self.files.is_formatted:
                    self._fence(launch, chosen, ends)
                else:
                    tell("preparing an empty data folder")
                    left = max(1.0, ends - time.monotonic())
                    self.files.format(java_path, jars, deadline_s=left)
                tell(f"starting Apache Kafka {kafka_version()} at {chosen.bootstrap}")
                process = self._spawn(launch)
                self._wait_ready(process, chosen, ends)
                return Running(chosen.bootstrap, process.pid, time.monotonic() - began)
        except OSError as error:
            raise disk_error(error, self.files.root) from error

    def prepare(self, progress: Progress | None = None) -> Path:
        """Do what only the first start on this machine needs; returns the folder of the jars.

        Fetches the jars and, for the profile `full`, trains Java. Raises NotReadyError.
        """
        return self._prepared(progress or (lambda _text: None))[1]

    def stop(self, deadline_s: float = STOP_DEADLINE_S) -> bool:
        """End the broker, by force at the deadline; False when none ran. The data stay."""
        process = self._process()
        if process is None:
            return False
        broker_process.end(process, deadline_s=deadline_s)
        self.files.pid.unlink(missing_ok=True)
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
        known = ports.remembered(self.files.ports)
        running = self._process() is not None and known is not None and accepts(known)
        return Status(
            running=running,
            bootstrap=known.bootstrap if known else None,
            brokers=1 if running else 0,
            version=kafka_version(),
            data=str(self.files.root),
        )

    def wipe(self) -> None:
        """Remove the data, the log and the remembered ports; raises UsageError while it runs."""
        if self._process() is not None:
            raise UsageError(
                "The embedded Kafka is running, so its data cannot be removed.",
                mend="Run `weighbridge kafka stop` first.",
                code="still_running",
            )
        if self.files.root.exists():
            with self._alone(time.monotonic() + STOP_DEADLINE_S):
                shutil.rmtree(self.files.root)

    def _prepared(self, tell: Progress) -> tuple[Path, Path, Path]:
        """The `java`, the folder of the jars, and where the cache of classes is, if it is."""
        java_path = java()
        jars = fetch_jars(tell)
        cache = cache_file(java_path, jars)
        if self.profile == "full" and not self._java_flags:
            make_cache(cache, _run_for_training, tell)
        return java_path, jars, cache

    def _process(self) -> psutil.Process | None:
        return broker_process.find(self.files.pid, self.files.properties)

    @contextmanager
    def _alone(self, ends: float) -> Iterator[None]:
        """One start or wipe at a time; a process that died does not hold it."""
        with self.files.lock.open("a") as lock:
            wait_for(lambda: _try_lock(lock.fileno()), ends, self._busy)
            yield

    def _busy(self) -> NotReadyError:
        return NotReadyError(
            f"Another process has been starting the Kafka in {self.files.root} for too long.",
            mend="End that process, then try again.",
            code="start_locked",
        )

    def _fence(self, launch: Launch, chosen: Ports, ends: float) -> None:
        def failed(what: str) -> NotReadyError:
            said = self.files.last_lines()
            if "Address already in use" in said:
                return ports.port_taken(chosen.controller)
            return self.files.failed(what, said)

        def start(properties: Path) -> psutil.Process:
            # Always owned: without this process nobody would end it.
            return launch.start(properties, owned=True)

        fencing.fence(start, self.files.controller_properties, self.files.log, ends, failed)

    def _spawn(self, launch: Launch) -> psutil.Process:
        process = launch.start(self.files.properties, owned=self.owned)
        with contextlib.suppress(psutil.NoSuchProcess):
            broker_process.note(self.files.pid, process.pid)
            return process
        raise self.files.failed("ended at once", self.files.last_lines())

    def _wait_ready(self, process: psutil.Process, chosen: Ports, ends: float) -> None:
        def alive_and(condition: Callable[[], bool]) -> bool:
            if not broker_process.alive(process):
                raise self._died(chosen)
            return condition()

        def not_ready() -> NotReadyError:
            return self.files.failed("did not answer in time", self.files.last_lines())

        wait_for(lambda: alive_and(lambda: accepts(chosen)), ends, not_ready)
        probe = answers(chosen)
        wait_for(lambda: alive_and(probe), ends, not_ready)

    def _died(self, chosen: Ports) -> NotReadyError:
        said = self.files.last_lines()
        if "Address already in use" in said:
            return ports.port_taken(chosen.broker)
        return self.files.failed("ended while it was starting", said)


def _run_for_training(folder: Path, flags: Sequence[str]) -> tuple[str, Callable[[float], object]]:
    kafka = EmbeddedKafka(folder, profile="full", owned=True, java_flags=flags)
    return kafka.start().bootstrap, kafka.stop


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
