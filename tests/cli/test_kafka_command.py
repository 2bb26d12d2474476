"""`weighbridge kafka` as a user runs it: one real broker in folders of its own."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.log.clients import embedded_folder
from broker.log.embedded import EmbeddedKafka
from broker.settings import Settings, load_settings
from tests.cli.running import run


@pytest.fixture
def own() -> Iterator[Settings]:
    """Settings that use the embedded broker of this test's own folders; it is ended with it."""
    kafka = EmbeddedKafka(embedded_folder())
    kafka.prepare()
    try:
        yield load_settings()
    finally:
        kafka.kill()


@pytest.mark.timeout(300)
def test_start_status_stop_start_again_and_wipe(own: Settings, tmp_path: Path) -> None:
    idle = run(own, "kafka", "status", "--json").json()
    assert list(idle) == ["running", "bootstrap", "brokers", "version", "data"]
    assert (idle["running"], idle["bootstrap"], idle["brokers"]) == (False, None, 0)
    assert idle["data"].startswith(str(tmp_path))

    started = run(own, "kafka", "start")
    bootstrap = started.out.strip()
    assert "ready in" in started.err
    status = run(own, "kafka", "status", "--json").json()
    assert status == {
        **idle,
        "running": True,
        "bootstrap": bootstrap,
        "brokers": 1,
    }
    again = run(own, "kafka", "start")
    assert (again.out.strip(), "already running" in again.err) == (bootstrap, True)
    assert f"runs at {bootstrap}" in run(own, "kafka", "status").out

    run(own, "topics", "apply")
    refused = run(own, "kafka", "wipe", "--yes", expect=2)
    assert "weighbridge kafka stop" in refused.err

    assert "its data are kept" in run(own, "kafka", "stop").err
    assert "was not running" in run(own, "kafka", "stop").err
    assert run(own, "kafka", "status").out.startswith("not running")
    assert run(own, "kafka", "start").out.strip() == bootstrap
    assert run(own, "topics", "plan").out == "all topics are as planned\n"
    run(own, "kafka", "stop")

    kept = run(own, "kafka", "wipe", stdin="n\n", expect=1)
    assert "Aborted" in kept.err
    assert Path(idle["data"]).exists()
    run(own, "kafka", "wipe", stdin="y\n")
    assert not Path(idle["data"]).exists()
    assert run(own, "kafka", "status", "--json").json() == idle


@pytest.mark.timeout(300)
def test_a_taken_port_is_one_sentence_and_exit_code_3(own: Settings) -> None:
    with socket.socket() as owner:
        owner.bind(("127.0.0.1", 0))
        owner.listen()
        port = str(owner.getsockname()[1])
        ran = run(own, "kafka", "start", "--port", port, expect=3)
    assert port in ran.err
    assert "--port" in ran.err
    assert len(ran.err.strip().splitlines()) <= 3


def test_a_port_that_is_none_is_a_usage_error(own: Settings) -> None:
    ran = run(own, "kafka", "start", "--port", "80", expect=2)
    assert "1024" in ran.err
