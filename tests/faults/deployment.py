"""A whole deployment as child processes, each the command a user would type, to do harm to."""

import contextlib
import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Self

import orjson

from broker.log.clients import admin_config
from broker.log.topics import apply_topics
from broker.settings import Settings
from broker.settings.live import LIVE_SECTIONS
from broker.supervisor.parent_death import PARENT_VARIABLE
from broker.supervisor.ports import free_ports
from workers.simulator.remote import RemoteSimulator

COMMAND = (sys.executable, "-m", "broker.cli")
READY_S = 60.0
END_S = 40.0
POLL_S = 0.05
_ASK_S = 2.0
_HTTP_OK = 200
_TAIL = 30


def wait_until(
    condition: Callable[[], bool], deadline_s: float, what: str | Callable[[], str]
) -> None:
    """Poll until the condition holds; an AssertionError that says what was missed otherwise."""
    ends = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > ends:
            said = what if isinstance(what, str) else what()
            raise AssertionError(f"not within {deadline_s:.0f} s: {said}")
        time.sleep(POLL_S)


def answers_ok(port: int, path: str) -> bool:
    """Whether a GET of this path of this machine is answered with 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_ASK_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == _HTTP_OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


@dataclass(slots=True)
class Member:
    """One process of the deployment: its command, its port, and the process that runs it now."""

    name: str
    arguments: tuple[str, ...]
    port: int
    ready_path: str
    environment: Mapping[str, str]
    log: Path
    process: "subprocess.Popen[bytes] | None" = None
    starts: int = 0
    _output: "IO[bytes] | None" = field(default=None, repr=False)

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self.process is not None, f"{self.name} was never started"
        return self.process.pid

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return self.process is not None and self.process.poll() is None

    @property
    def ready(self) -> bool:
        """Whether it says so itself."""
        return answers_ok(self.port, self.ready_path)

    def start(self) -> None:
        """Start it; it dies with the tests, however they end."""
        assert not self.runs, f"{self.name} runs already"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*COMMAND, *self.arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environment, PARENT_VARIABLE: str(os.getpid())},
                start_new_session=True,
            )
        self.starts += 1

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self.process is not None
        assert self.runs, f"{self.name} has ended already:\n{self.last_lines()}"
        self.process.send_signal(number)

    def last_lines(self) -> str:
        """The end of its log."""
        with contextlib.suppress(OSError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-_TAIL:])
        return "(no log)"


class Deployment:
    """Simulator, classifiers and workers on one broker; a context manager that leaves nothing.

    Members are named `simulator`, `classifier-0`, `worker-azure-0` and so on.
    """

    def __init__(self, settings: Settings, folder: Path, file: Path | None = None) -> None:
        """`settings` are the children's; the simulator's address is filled in."""
        (port,) = free_ports(1)
        simulator = settings.simulator.model_copy(update={"url": f"http://127.0.0.1:{port}"})
        self.settings = settings.model_copy(update={"simulator": simulator})
        self.simulator = RemoteSimulator(f"http://127.0.0.1:{port}")
        self._folder = folder
        self._file = file
        self.members: dict[str, Member] = {}
        if any(settings.is_simulated(name) for name in settings.providers):
            self._member("simulator", ("simulator", "--port", str(port)), port, "/livez", {})

    def __enter__(self) -> Self:
        apply_topics(self.settings, admin_config(self.settings))
        try:
            for name in self.members:
                self.start(name)
            self.add_classifier()
            for provider in self.settings.providers:
                self.add_worker(provider)
            self.wait_ready(*self.members)
        except BaseException:
            self._end_all()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end_all()

    def add_classifier(self, slot: int = 0, **more: str) -> str:
        """Start a classifier in this slot; its name."""
        name = f"classifier-{slot}"
        return self._add(name, ("classifier", "--slot", str(slot)), more)

    def add_worker(self, provider: str, slot: int = 0, **more: str) -> str:
        """Start a worker in this slot; its name. `more` are variables of its environment."""
        name = f"worker-{provider}-{slot}"
        return self._add(name, ("worker", provider, "--slot", str(slot)), more)

    def start(self, name: str) -> None:
        """Start a member (again)."""
        self.members[name].start()

    def kill(self, name: str) -> None:
        """As kill -9 does, and wait until it is gone."""
        member = self.members[name]
        member.signal(signal.SIGKILL)
        assert member.process is not None
        member.process.wait(END_S)

    def stop(self, name: str) -> None:
        """Stop it in the middle of whatever it does (SIGSTOP)."""
        self.members[name].signal(signal.SIGSTOP)

    def cont(self, name: str) -> None:
        """Let a stopped one go on, as if nothing had been (SIGCONT)."""
        self.members[name].signal(signal.SIGCONT)

    def terminate(self, *names: str) -> None:
        """Ask them to drain (SIGTERM); each has to end by itself with exit code 0."""
        for name in names:
            self.members[name].signal(signal.SIGTERM)
        for name in names:
            code = self.wait_ended(name)
            assert code == 0, f"{name} ended with {code}:\n{self.members[name].last_lines()}"

    def terminate_all(self) -> None:
        """Drain everything that runs; the simulator last, as drains still need it."""
        others = [n for n, member in self.members.items() if n != "simulator" and member.runs]
        self.terminate(*others)

    def wait_ready(self, *names: str, deadline_s: float = READY_S) -> None:
        """Wait until each says that it is ready; a member that ends instead is a failure."""
        ends = time.monotonic() + deadline_s
        for name in names:
            member = self.members[name]

            def there(member: Member = member) -> bool:
                assert member.runs, f"{member.name} has ended:\n{member.last_lines()}"
                return member.ready

            wait_until(
                there,
                max(1.0, ends - time.monotonic()),
                lambda member=member: f"{member.name} ready; its log:\n{member.last_lines()}",  # type: ignore[misc]  # bound at once
            )

    def wait_ended(self, name: str, deadline_s: float = END_S) -> int:
        """Wait for the end of a member; its exit code."""
        member = self.members[name]
        assert member.process is not None
        try:
            return member.process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{name} does not end:\n{member.last_lines()}") from None

    def _add(self, name: str, arguments: tuple[str, ...], more: Mapping[str, str]) -> str:
        if name not in self.members:
            (port,) = free_ports(1)
            self._member(name, arguments, port, "/readyz", more)
        self.members[name].start()
        return name

    def _member(
        self, name: str, arguments: tuple[str, ...], port: int, path: str, more: Mapping[str, str]
    ) -> None:
        environment = {**variables(self.settings), "WEIGHBRIDGE_OPS__PORT": str(port), **more}
        if self._file is not None:
            # What may be reloaded is the file's: a variable would win over it.
            for section in (*LIVE_SECTIONS, "lengths"):
                del environment[f"WEIGHBRIDGE_{section.upper()}"]
            environment["WEIGHBRIDGE_CONFIG"] = str(self._file)
        log = self._folder / f"{name}.log"
        self.members[name] = Member(name, arguments, port, path, environment, log)

    def _end_all(self) -> None:
        for member in self.members.values():
            if member.runs and member.process is not None:
                member.process.kill()
                member.process.wait(END_S)


def variables(settings: Settings) -> dict[str, str]:
    """The settings as variables of the environment, one a section."""
    shown = settings.model_dump(mode="json", exclude_none=True, exclude={"ops"})
    return {f"WEIGHBRIDGE_{name.upper()}": orjson.dumps(v).decode() for name, v in shown.items()}


@contextlib.contextmanager
def deployed(settings: Settings, folder: Path, file: Path | None = None) -> Iterator[Deployment]:
    """A deployment that is up; its logs are shown when the block fails."""
    with Deployment(settings, folder, file) as deployment:
        try:
            yield deployment
        except BaseException as error:
            for member in deployment.members.values():
                error.add_note(f"--- {member.name}\n{member.last_lines()}")
            raise
