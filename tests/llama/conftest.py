"""A real backend that we did not write: llama.cpp on this machine's processor."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.supervisor.ports import free_ports
from tests.faults.deployment import answers_ok, wait_until
from tests.llama.tiny_model import write_tiny_model

READY_S = 60.0


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file that llama.cpp loads in a moment."""
    return write_tiny_model(tmp_path_factory.mktemp("model") / "tiny.gguf")


@pytest.fixture(scope="session")
def llama(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where llama.cpp's server serves it, such as `http://127.0.0.1:23456`."""
    (port,) = free_ports(1)
    log = tmp_path_factory.mktemp("llama") / "server.log"
    program = Path(__file__).with_name("server_program.py")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, str(program), str(tiny_model), str(port)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        wait_until(
            lambda: process.poll() is not None or answers_ok(port, "/health"),
            READY_S,
            log.read_text,
        )
        assert process.poll() is None, log.read_text()
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait(10)
