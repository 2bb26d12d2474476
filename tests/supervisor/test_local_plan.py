"""What `up` starts: which processes, on which ports, with which settings."""

import socket
from pathlib import Path

import pytest

from broker.records.errors import NotReadyError
from broker.settings import Settings, load_settings
from broker.supervisor import ports
from broker.supervisor.local_plan import plan_children
from broker.supervisor.ports import FIRST, LAST, free_ports

BROKER = "127.0.0.1:9092"


def test_ports_are_different_free_and_below_those_of_outgoing_connections() -> None:
    found = free_ports(50)
    assert len(set(found)) == 50
    assert all(FIRST <= port < LAST for port in found)
    for port in found:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))


def test_too_few_free_ports_are_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    (port,) = free_ports(1)
    monkeypatch.setattr(ports, "FIRST", port)
    monkeypatch.setattr(ports, "LAST", port + 1)
    with pytest.raises(NotReadyError) as told:
        free_ports(2)
    assert told.value.code == "port_taken"


def test_every_provider_has_a_pool_and_the_simulator_comes_first_for_those_without_address() -> (
    None
):
    plan = plan_children(load_settings(), bootstrap=BROKER, config=Path("x.toml"))
    assert [spec.name for spec in plan.children] == [
        *("simulator", "classifier"),
        *("worker-openai", "worker-azure", "worker-google", "worker-coreweave"),
    ]
    assert plan.simulated == ("openai", "azure", "google", "coreweave")
    assert len({spec.ready_url for spec in plan.children}) == len(plan.children)
    for spec in plan.children:
        assert spec.environment["WEIGHBRIDGE_KAFKA__BOOTSTRAP"] == BROKER
        assert spec.environment["WEIGHBRIDGE_SIMULATOR__URL"] == plan.simulator_url
        assert Path(spec.environment["WEIGHBRIDGE_CONFIG"]).is_absolute()


def test_what_a_child_is_told_is_valid_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_children(load_settings(), bootstrap=BROKER, config=None)
    for spec in plan.children:
        with monkeypatch.context() as patch:
            for name, value in spec.environment.items():
                patch.setenv(name, value)
            told = load_settings()
        assert told.kafka.bootstrap == BROKER
        if told.ops.port:
            assert f":{told.ops.port}/" in spec.ready_url


def test_real_providers_only_start_no_simulator_and_slots_are_numbered() -> None:
    real = {"base_url": "https://example.org/v1", "models": {"chat-small": "s"}}
    settings: Settings = load_settings(providers={"azure": real})
    plan = plan_children(settings, bootstrap=BROKER, config=None, workers_per_provider=2)
    assert (plan.simulated, plan.simulator_url) == ((), None)
    assert [spec.arguments for spec in plan.children] == [
        ("classifier",),
        ("worker", "azure"),
        ("worker", "azure", "--slot", "1"),
    ]
    assert "WEIGHBRIDGE_SIMULATOR__URL" not in plan.children[0].environment


def test_a_simulator_that_runs_elsewhere_is_used() -> None:
    settings = load_settings(simulator={"url": "http://127.0.0.1:8399"})
    plan = plan_children(settings, bootstrap=BROKER, config=None)
    assert plan.simulator_url is None
    assert "simulator" not in [spec.name for spec in plan.children]
    url = plan.children[0].environment["WEIGHBRIDGE_SIMULATOR__URL"]
    assert url == "http://127.0.0.1:8399"


def test_a_local_model_is_a_child_that_explains_itself_and_its_port_is_nobody_elses() -> None:
    url = "http://127.0.0.1:23456"
    settings = load_settings(
        models={"talk": {}, "picture": {"kind": "image"}},
        providers={"azure": {"models": {"talk": "a", "picture": "b"}}, "openai": {}},
        local_model={"url": url, "name": "llama"},
    )
    file = Path("/models/llama.gguf")
    plan = plan_children(settings, bootstrap=BROKER, config=None, local_model=file)
    assert [spec.name for spec in plan.children] == [
        *("simulator", "local-model", "classifier", "worker-local", "worker-azure"),
    ]
    assert plan.simulated == ("azure",)
    assert plan.local_model == file
    model = plan.children[1]
    assert model.arguments == ("local-model", str(file), "--port", "23456")
    assert model.ready_url == f"{url}/health"
    for spec in plan.children:
        assert spec.environment["WEIGHBRIDGE_LOCAL_MODEL__URL"] == url
        assert spec.environment["WEIGHBRIDGE_LOCAL_MODEL__NAME"] == "llama"
        assert spec is model or ":23456/" not in spec.ready_url
