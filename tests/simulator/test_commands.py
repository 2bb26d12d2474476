"""`weighbridge simulator` and its sub-commands, run as a user does."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from broker.records.errors import NotReadyError, UsageError
from broker.settings.loading import state_folder
from broker.supervisor.ports import free_ports
from workers.simulator.remote import RemoteSimulator

COMMAND = (sys.executable, "-m", "broker.cli", "simulator")
DEADLINE_S = 60.0
CONFIG = """
[providers.openai]
dialect = "openai"
models = { chat-large = "gpt-5", chat-small = "gpt-5-mini" }
[providers.azure]
dialect = "openai"
models = { chat-large = "gpt-5" }
[providers.google]
dialect = "openai"
models = { chat-large = "gemini-3-pro" }
[simulator]
seed = 3
[simulator.clouds.azure.faults]
rate_limited = 0.25
"""


class Simulator:
    """A running one."""

    def __init__(self, process: "subprocess.Popen[str]", url: str) -> None:
        self.process = process
        self.url = url

    def ready(self) -> None:
        ends = time.monotonic() + DEADLINE_S
        while time.monotonic() < ends:
            assert self.process.poll() is None, self.process.communicate()
            try:
                with urllib.request.urlopen(f"{self.url}/livez", timeout=5):  # noqa: S310 - http only
                    return
            except OSError:
                time.sleep(0.05)
        raise AssertionError("the simulator did not come up")

    def chat(self, prompt_id: str, provider: str = "openai", model: str = "gpt-5") -> int:
        request = urllib.request.Request(  # noqa: S310 - http only
            f"{self.url}/{provider}/v1/chat/completions",
            data=orjson.dumps({"model": model, "messages": [{"role": "user", "content": "Hi"}]}),
            headers={"x-weighbridge-id": prompt_id},
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as reply:  # noqa: S310 - http only
                return int(reply.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[Simulator]:
    config = tmp_path / "weighbridge.toml"
    config.write_text(CONFIG)
    (port,) = free_ports(1)
    with subprocess.Popen(
        [*COMMAND, "--port", str(port), "--fast", "--config", str(config)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        running = Simulator(process, f"http://127.0.0.1:{port}")
        try:
            running.ready()
            yield running
        finally:
            if process.poll() is None:
                process.kill()


def run(
    *arguments: str, expect: int = 0, url: str | None = None
) -> "subprocess.CompletedProcess[str]":
    where = {} if url is None else {"WEIGHBRIDGE_SIMULATOR__URL": url}
    done = subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        env={**os.environ, "COLUMNS": "160", "NO_COLOR": "1", **where},
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == expect, done
    return done


def json_of(done: "subprocess.CompletedProcess[str]") -> Any:
    return orjson.loads(done.stdout)


def test_faults_and_counts_from_the_command_line(simulator: Simulator) -> None:
    url = simulator.url
    shown = run("faults", "show", url=url).stdout
    assert "azure: rate_limited 25%" in shown
    assert "google: no faults" in shown
    assert simulator.chat("a") == 200
    told = run("faults", "set", "openai", "--outage", "60", "--cuts", "0.5", url=url).stdout
    assert told.startswith("openai: DOWN; cuts 50%, down ")
    assert simulator.chat("a") == 503
    kept = run("faults", "set", "openai", "--slow", "0.1", "--json", url=url)
    assert json_of(kept)["openai"]["cuts"] == 0.5
    assert json_of(kept)["openai"]["down"] is True
    only = run("faults", "set", "openai", "--malformed", "0.5", "--only", "--json", url=url)
    assert json_of(only)["openai"]["cuts"] == 0.0
    assert json_of(only)["openai"]["down"] is False
    later = run("faults", "set", "openai", "--outage", "100-200", "--json", url=url)
    assert len(json_of(later)["openai"]["outages"]) == 1
    assert json_of(later)["openai"]["down"] is False
    run("faults", "clear", "--url", simulator.url)
    assert "azure: no faults" in run("faults", "show", url=url).stdout
    assert simulator.chat("a") == 200
    counts = json_of(run("served", "openai", "--ids", "--json", url=url))["openai"]
    assert counts["by_id"] == {"a": {"begun": 3, "answered": 2}}
    assert counts["outcomes"] == {"ok": 2, "outage": 1}
    table = run("served", "openai", "--id", "a", "--reset", url=url).stdout
    assert "a at openai: 3 begun, 2 answered" in table
    assert json_of(run("served", "--json", url=url))["openai"]["requests"] == 0


def test_capacity_and_history_from_the_command_line(simulator: Simulator) -> None:
    url = simulator.url
    assert "concurrency any, requests per minute any" in run("capacity", "show", url=url).stdout
    changes = ("--requests-per-minute", "1", "--slots", "3", "--json")
    changed = json_of(run("capacity", "set", "openai", *changes, url=url))["openai"]
    assert (changed["requests_per_minute"], changed["slots"]) == (1, 3)
    assert [simulator.chat("a"), simulator.chat("b")] == [200, 429]
    counts = json_of(run("served", "openai", "--history", "--json", url=url))["openai"]
    assert sum(row[1] for row in counts["history"]) == 1
    assert sum(row[2] for row in counts["history"]) == 1
    run("capacity", "set", "openai", "--requests-per-minute", "0", url=url)
    assert simulator.chat("b") == 200
    told = run("capacity", "reset", "openai", url=url).stdout
    assert told.startswith("openai: slots ")
    assert "Nothing is to be changed" in run("capacity", "set", "openai", expect=2, url=url).stderr
    assert "speed" in run("capacity", "set", "openai", "--speed", "0", expect=2, url=url).stderr


def test_what_up_left_in_the_state_folder_is_found(simulator: Simulator) -> None:
    folder = state_folder()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "up.json").write_bytes(orjson.dumps({"simulator": simulator.url}))
    assert "openai: no faults" in run("faults", "show", "openai").stdout


def test_wrong_wishes_are_one_sentence(simulator: Simulator) -> None:
    def refused(*arguments: str) -> str:
        done = run(*arguments, "--url", simulator.url, expect=2)
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
        return done.stderr

    assert "no provider 'acme'" in refused("faults", "set", "acme", "--cuts", "0.1")
    assert "no span of seconds" in refused("faults", "set", "openai", "--outage", "soon")
    assert "to_s" in refused("faults", "set", "openai", "--outage", "9-5")
    assert "together above 1" in refused("faults", "set", "azure", "--cuts", "0.9")
    assert "No fault is named" in refused("faults", "set", "openai")


def test_a_termination_is_followed_at_once_even_with_calls_open(simulator: Simulator) -> None:
    RemoteSimulator(simulator.url).set_faults("openai", {"hangs": 1.0})
    with socket.create_connection(("127.0.0.1", int(simulator.url.rsplit(":", 1)[1]))) as client:
        body = b'{"model": "gpt-5", "messages": []}'
        head = (
            f"POST /openai/v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}"
        )
        client.sendall(head.encode() + b"\r\n\r\n" + body)
        ends = time.monotonic() + DEADLINE_S
        while RemoteSimulator(simulator.url).served("openai")["openai"]["open"] == 0:
            assert time.monotonic() < ends
            time.sleep(0.02)
        began = time.monotonic()
        simulator.process.send_signal(signal.SIGTERM)
        out, err = simulator.process.communicate(timeout=DEADLINE_S)
        assert time.monotonic() - began < 5.0
    assert simulator.process.returncode == 0
    assert out == ""
    assert "Traceback" not in err
    events = [orjson.loads(line)["event"] for line in err.splitlines()]
    assert events == ["simulator_listening", "simulator_stopped"]


def test_a_taken_port_is_one_sentence_and_exit_3(simulator: Simulator) -> None:
    port = simulator.url.rsplit(":", 1)[1]
    done = run("--port", port, expect=3)
    assert len(done.stderr.strip().splitlines()) == 1
    assert f"127.0.0.1:{port}" in done.stderr
    assert "--port" in done.stderr


def test_no_simulator_there_is_exit_3() -> None:
    (port,) = free_ports(1)
    done = run("served", "--url", f"http://127.0.0.1:{port}", expect=3)
    assert "No simulator answers" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_figure_of_a_cloud_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    config = tmp_path / "weighbridge.toml"
    config.write_text("[simulator.clouds.gogle]\nslots = 3\n")
    done = run("--config", str(config), "--port", "0", expect=2)
    assert "gogle" in done.stderr


def test_the_remote_tells_refusal_from_absence(simulator: Simulator) -> None:
    remote = RemoteSimulator(simulator.url)
    with pytest.raises(UsageError, match="acme"):
        remote.faults("acme")
    with pytest.raises(NotReadyError):
        RemoteSimulator(f"http://127.0.0.1:{free_ports(1)[0]}").faults()
    with pytest.raises(UsageError):
        RemoteSimulator("file:///etc/passwd")
