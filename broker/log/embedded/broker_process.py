"""The broker's process: spawned, recognised again by later commands, and ended."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from broker.log.embedded import follow_parent

_SAME_START_S = 2.0
_POLL_S = 0.02


def spawn(
    command: Sequence[str], *, environ: Mapping[str, str], output: Path, owned: bool
) -> "subprocess.Popen[bytes]":
    """Start `command` in a session of its own, so that no terminal's Ctrl-C or end reaches it.

    With `owned` the kernel kills it when this process dies, however that happens.
    """
    full = [str(part) for part in command]
    if owned:
        full = [sys.executable, "-I", "-S", follow_parent.__file__, str(os.getpid()), *full]
    spawned: list[subprocess.Popen[bytes] | OSError] = []
    ready = threading.Event()

    def spawn_and_reap() -> None:
        # The tie of an owned child is to the THREAD that made it: this one lives as long as the
        # child does, and it takes the child's end away, so that no zombie stays.
        try:
            with output.open("ab") as file:
                child = subprocess.Popen(  # noqa: S603 - our own command, without a shell
                    full,
                    env=dict(environ),
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except OSError as error:
            spawned.append(error)
            ready.set()
            return
        spawned.append(child)
        ready.set()
        child.wait()

    threading.Thread(target=spawn_and_reap, name="embedded-kafka", daemon=True).start()
    ready.wait()
    if isinstance(spawned[0], OSError):
        raise spawned[0]
    return spawned[0]


def note(pid_file: Path, pid: int) -> None:
    """Write down which process is the broker: its pid and when that process began."""
    began = psutil.Process(pid).create_time()
    pid_file.write_text(json.dumps({"pid": pid, "began": began}))


def find(pid_file: Path, mark: Path) -> psutil.Process | None:
    """The noted process, if it still runs and really is the broker.

    A pid may have been given to another program since: the time the process began must be the
    noted one, and `mark` (the broker's own properties file) must be in its command line.
    """
    try:
        noted = json.loads(pid_file.read_text())
        process = psutil.Process(int(noted["pid"]))
        same = abs(process.create_time() - float(noted["began"])) < _SAME_START_S
        if same and str(mark) in process.cmdline():
            return process
    except (OSError, ValueError, KeyError, TypeError, psutil.Error):
        return None
    return None


def end(process: psutil.Process, *, deadline_s: float) -> bool:
    """Ask the process to end, and kill it at the deadline; whether it ended when asked."""
    if _signal(process, signal.SIGTERM) and gone(process, deadline_s=deadline_s):
        return True
    kill(process)
    return False


def kill(process: psutil.Process) -> None:
    """End the process at once, as a crash would."""
    _signal(process, signal.SIGKILL)
    gone(process, deadline_s=10.0)


def gone(process: psutil.Process, *, deadline_s: float) -> bool:
    """Wait until the process has ended; False at the deadline."""
    ends = time.monotonic() + deadline_s
    while time.monotonic() < ends:
        if not alive(process):
            return True
        time.sleep(_POLL_S)
    return not alive(process)


def alive(process: psutil.Process) -> bool:
    """Whether the process runs: not ended, not a zombie, its pid not another's."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _signal(process: psutil.Process, number: int) -> bool:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return False
    return True
