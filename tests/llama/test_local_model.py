"""`weighbridge local-model` and `up --local-model`, as a user without any key runs them."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from broker.records.errors import UsageError
from broker.settings import Settings
from broker.supervisor import model_server
from broker.supervisor.model_server import model_file
from broker.supervisor.ports import free_ports
from tests.cli.running import COMMAND, Ran, environment, run
from tests.faults.deployment import answers_ok, wait_until
from tests.story.seeding import small

UP_S = 90.0
MODELS = '{"talk": {"default": true}}'
PROVIDERS = '{"azure": {"models": {"talk": "gpt-5-mini"}}}'


def run_chat_only(settings: Settings, *arguments: str) -> Ran:
    """With settings that have nothing but one chat model."""
    return run(settings, *arguments, WEIGHBRIDGE_MODELS=MODELS, WEIGHBRIDGE_PROVIDERS=PROVIDERS)


@contextmanager
def up(settings: Settings, model: Path, log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """`weighbridge up --local-model`, once it is ready; ended with the block."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*COMMAND, "up", "--local-model", str(model)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment(settings, WEIGHBRIDGE_MODELS=MODELS, WEIGHBRIDGE_PROVIDERS=PROVIDERS),
        )
    try:
        wait_until(
            lambda: process.poll() is not None or "Ready in" in log.read_text(), UP_S, log.read_text
        )
        assert process.poll() is None, log.read_text()
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(10)


def test_up_answers_chat_with_the_model_and_says_so(
    settings: Settings, tiny_model: Path, tmp_path: Path
) -> None:
    small_settings, log = small(settings), tmp_path / "up.log"
    with up(small_settings, tiny_model, log) as process:
        assert "Chat is answered on this machine" in log.read_text()
        assert "No real provider is called" not in log.read_text()
        family = psutil.Process(process.pid).children()
        children = [" ".join(child.cmdline()) for child in family]
        assert any(f"local-model {tiny_model} --port" in line for line in children), children
        assert not any("simulator" in line for line in children)
        asked = ("send", "Why is the sky blue?", "--max-output-tokens", "12", "--wait", "--json")
        told = run_chat_only(small_settings, *asked).json()
        assert (told["status"], told["provider"]) == ("succeeded", "local"), told
        assert (told["provider_model"], told["cost_usd"]) == ("tiny", 0.0)
        assert 0 < told["output_tokens"] <= 12
        stream = run_chat_only(small_settings, "send", "Why?", "--stream")
        assert stream.out.strip()
        doctor = run_chat_only(small_settings, "doctor", "--live", "--json")
        found = {one["check"]: one for one in doctor.json()["checks"]}
        assert found["local-model"]["level"] == "ok"
        assert found["topics"]["level"] == "ok", "those of the providers that `up` runs"
        assert found["worker local"]["level"] == "ok"
        assert found["call of local"]["facts"]["status"] == 200
        server = next(child for child in family if "local-model" in " ".join(child.cmdline()))
        server.kill()
        again = run_chat_only(small_settings, "send", "Still there?", "--wait", "--json").json()
        assert again["status"] == "succeeded", "the server is started again, and the prompt waits"
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0, log.read_text()
    assert "all ended" in log.read_text()
    assert "by force" not in log.read_text()


def test_the_command_alone_serves_openais_paths_until_it_is_asked_to_end(
    settings: Settings, tiny_model: Path
) -> None:
    (port,) = free_ports(1)
    command = [*COMMAND, "local-model", str(tiny_model), "--port", str(port)]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=environment(settings)
    ) as process:
        try:
            wait_until(lambda: answers_ok(port, "/health"), UP_S, "it is ready")
            assert answers_ok(port, "/v1/models")
            assert not answers_ok(port, "/slots"), "which would show what others asked"
            again = run(settings, "local-model", str(tiny_model), "--port", str(port), expect=3)
            assert f"Port {port}" in again.err
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 0
    assert said == f"llama.cpp serves tiny at http://127.0.0.1:{port}\n"


@pytest.mark.parametrize("command", ["local-model", "up --local-model"])
def test_a_file_that_is_no_model_is_one_sentence(
    settings: Settings, tmp_path: Path, command: str
) -> None:
    text = tmp_path / "notes.gguf"
    text.write_text("no model\n")
    for file, says in ((text, "no GGUF model"), (tmp_path / "gone.gguf", "No such file"),
                       (tmp_path, "Is a directory")):  # fmt: skip
        ran = run(settings, *command.split(), str(file), expect=2)
        assert says in ran.err
        assert str(file) in ran.err
        assert len(ran.err.splitlines()) == 1


def test_a_model_that_came_only_half_is_told_with_the_reason(
    settings: Settings, tiny_model: Path, tmp_path: Path
) -> None:
    half = tmp_path / "half.gguf"
    half.write_bytes(tiny_model.read_bytes()[:100_000])
    ran = run(settings, "local-model", str(half), expect=2)
    assert "llama.cpp cannot load" in ran.err
    assert "not within the file bounds" in ran.err
    assert len(ran.err.splitlines()) == 1
    begun = run(small(settings), "up", "--local-model", str(half), expect=3)
    assert "not within the file bounds" in begun.err


def test_without_the_package_the_line_that_installs_it_is_told(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_server, "PACKAGE", "no_such_package")
    with pytest.raises(UsageError) as told:
        model_file(tiny_model)
    assert "pip install 'weighbridge[local]'" in told.value.mend
