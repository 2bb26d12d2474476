"""How a supervising process ends: asked once, asked twice, killed; nothing stays behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from broker.records.errors import NotReadyError
from broker.supervisor.machine import only_one
from broker.supervisor.parent_death import PARENT_VARIABLE, follow_parent
from tests.supervisor.family import Family, is_gone, wait_until

PROGRAM = Path(__file__).with_name("parent_program.py")
ROOT = Path(__file__).parents[2]
DEADLINE_S = 30.0


@contextmanager
def parent(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, str(PROGRAM), str(folder), *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def children(folder: Path) -> list[int]:
    return [int(line.split()[-1]) for line in Family(folder).noted("start")]


def test_children_die_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    with parent(tmp_path, "--deaf") as process:
        wait_until((tmp_path / "ready").exists)
        started = children(tmp_path)
        assert len(started) == 2
        process.kill()
        wait_until(lambda: all(is_gone(pid) for pid in started))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_asked_once_it_drains(tmp_path: Path, number: signal.Signals) -> None:
    with parent(tmp_path) as process:
        wait_until((tmp_path / "ready").exists)
        process.send_signal(number)
        assert process.wait(DEADLINE_S) == 0
    assert {line.split()[0] for line in Family(tmp_path).noted("term")} == {"plain", "odd"}
    assert all(is_gone(pid) for pid in children(tmp_path))


def test_asked_twice_it_ends_at_once_and_the_deaf_child_with_it(tmp_path: Path) -> None:
    with parent(tmp_path, "--deaf") as process:
        wait_until((tmp_path / "ready").exists)
        process.send_signal(signal.SIGINT)
        wait_until(lambda: len(Family(tmp_path).noted("odd term")) == 1)
        process.send_signal(signal.SIGINT)
        assert process.wait(5) == 128 + signal.SIGINT
        started = children(tmp_path)
        wait_until(lambda: all(is_gone(pid) for pid in started))


def test_asked_while_it_comes_up_it_takes_down_what_is_up(tmp_path: Path) -> None:
    with parent(tmp_path, "--never-ready") as process:
        wait_until(lambda: len(children(tmp_path)) == 2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) != 0
        assert not (tmp_path / "ready").exists()
    assert all(is_gone(pid) for pid in children(tmp_path))


def test_a_child_whose_parent_died_before_it_looked_ends() -> None:
    told = "from broker.supervisor.parent_death import follow_parent; follow_parent(); print('on')"
    gone = {**os.environ, PARENT_VARIABLE: "1"}
    command = [sys.executable, "-c", told]
    ran = subprocess.run(command, env=gone, cwd=ROOT, capture_output=True, timeout=30, check=False)
    assert (ran.returncode, ran.stdout) == (1, b"")


def test_what_a_child_starts_is_not_told_to_follow_its_grandparent() -> None:
    told = (
        "import os; from broker.supervisor.parent_death import *; follow_parent(); "
        "print(PARENT_VARIABLE in os.environ)"
    )
    here = {**os.environ, PARENT_VARIABLE: str(os.getpid())}
    command = [sys.executable, "-c", told]
    ran = subprocess.run(command, env=here, cwd=ROOT, capture_output=True, timeout=30, check=False)
    assert (ran.returncode, ran.stdout) == (0, b"False\n")
    follow_parent({})


def test_a_second_one_on_this_machine_is_refused_and_told_who_the_first_is(tmp_path: Path) -> None:
    lock = tmp_path / "state" / "up.lock"
    with (
        only_one(lock),
        pytest.raises(NotReadyError, match=str(os.getpid())) as told,
        only_one(lock),
    ):
        pass
    assert (told.value.code, told.value.exit_code) == ("already_running", 3)
    with only_one(lock):
        pass


def test_a_state_folder_that_cannot_be_used_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where the folder should be")
    with pytest.raises(NotReadyError, match="XDG_STATE_HOME"), only_one(tmp_path / "state" / "l"):
        pass


def test_a_lock_whose_holder_was_killed_is_free(tmp_path: Path) -> None:
    lock = tmp_path / "up.lock"
    told = (
        "import sys, time; from pathlib import Path\n"
        "from broker.supervisor.machine import only_one\n"
        "with only_one(Path(sys.argv[1])): print('held', flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", told, str(lock)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(NotReadyError, match=str(holder.pid)), only_one(lock):
            pass
        holder.kill()
        holder.wait(DEADLINE_S)
    with only_one(lock):
        assert lock.read_text() == str(os.getpid())
