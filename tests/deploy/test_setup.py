"""What `make demo` and `make test` say on a machine where something is missing: one sentence, 3."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NEEDED = (
    *("deploy/setup.sh", "requirements.lock", "requirements-dev.lock", "pyproject.toml"),
    "broker/log/embedded/jars.lock",
)
PYTHON_WITHOUT_VENV = """#!/bin/sh
case "$*" in
*ensurepip*) exit 1 ;;
*version_info*) exit 0 ;;
--version) echo "Python 3.12.1" ;;
*) exit 1 ;;
esac
"""
OLD_PYTHON = """#!/bin/sh
exit 1
"""
FULL_DISK = """#!/bin/sh
echo "Filesystem 1024-blocks Used Available Capacity Mounted on"
echo "/dev/disk 1000000 900000 102400 90% /"
"""
PIP_WITHOUT_NETWORK = """#!/bin/sh
case "$*" in
*"-m venv"*) mkdir -p .venv/bin; cp "$0" .venv/bin/python ;;
*"pip install"*) exit 1 ;;
--version) echo "Python 3.12.1" ;;
*) exit 0 ;;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what the set-up reads, so that no test touches this checkout's .venv."""
    for name in NEEDED:
        target = tmp_path / "checkout" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target)
    return tmp_path / "checkout"


def program(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def set_up(checkout: Path, **more: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["/bin/sh", str(checkout / "deploy/setup.sh"), "run"],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **more},
        check=False,
    )


def said(done: "subprocess.CompletedProcess[str]") -> str:
    assert done.returncode == 3, done
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("weighbridge: ")]
    return line


def test_no_python(checkout: Path) -> None:
    assert "apt install python3" in said(set_up(checkout, PYTHON="no-such-python"))


def test_an_old_python(checkout: Path, tmp_path: Path) -> None:
    old = program(tmp_path / "bin", "python3.9", OLD_PYTHON)
    assert "is too old" in said(set_up(checkout, PYTHON=str(old)))


def test_no_venv_package_leaves_no_half_made_folder(checkout: Path, tmp_path: Path) -> None:
    bare = program(tmp_path / "bin", "python3", PYTHON_WITHOUT_VENV)
    assert "apt install python3-venv" in said(set_up(checkout, PYTHON=str(bare)))
    assert not (checkout / ".venv").exists()


def test_a_full_disk(checkout: Path, tmp_path: Path) -> None:
    program(tmp_path / "bin", "df", FULL_DISK)
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    assert "only 100 MiB of disk are free" in said(set_up(checkout, PATH=path))


def test_no_network_on_the_first_run(checkout: Path, tmp_path: Path) -> None:
    python = program(tmp_path / "bin", "python3", PIP_WITHOUT_NETWORK)
    assert "the first run needs the network" in said(set_up(checkout, PYTHON=str(python)))


def test_a_set_up_that_is_there_does_nothing(checkout: Path) -> None:
    """So a second run needs no network: nothing of it is asked for."""
    names = ("requirements.lock", "pyproject.toml", "broker/log/embedded/jars.lock")
    told = subprocess.run(
        ["/usr/bin/cksum"],
        input=b"".join((checkout / name).read_bytes() for name in names),
        capture_output=True,
        timeout=10,
        check=True,
    )
    (checkout / ".venv").mkdir()
    (checkout / ".venv/.weighbridge-run").write_bytes(told.stdout.strip())
    done = set_up(checkout, PYTHON="no-such-python")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
