"""Which processes make Weighbridge on one machine, and how each is told what it needs."""

from dataclasses import dataclass
from pathlib import Path

from broker.settings import Settings
from broker.supervisor.child import ChildSpec
from broker.supervisor.ports import free_ports

HOST = "127.0.0.1"
SIMULATOR = "simulator"


@dataclass(frozen=True, slots=True)
class LocalPlan:
    """The children in the order they are started, and where the simulator will be, if one runs."""

    children: tuple[ChildSpec, ...]
    simulated: tuple[str, ...]
    simulator_url: str | None


def plan_children(
    settings: Settings, *, bootstrap: str, config: Path | None, workers_per_provider: int = 1
) -> LocalPlan:
    """One classifier and a pool for each provider; the simulator for those without an address."""
    simulated = tuple(name for name in settings.providers if settings.is_simulated(name))
    own_simulator = bool(simulated) and settings.simulator.url is None
    slots = [
        (provider, slot) for provider in settings.providers for slot in range(workers_per_provider)
    ]
    ports = iter(free_ports(len(slots) + 2))
    url = f"http://{HOST}:{next(ports)}" if own_simulator else settings.simulator.url
    common = {"WEIGHBRIDGE_KAFKA__BOOTSTRAP": bootstrap}
    if url is not None:
        common["WEIGHBRIDGE_SIMULATOR__URL"] = url
    if config is not None:
        common["WEIGHBRIDGE_CONFIG"] = str(config.resolve())
    children: list[ChildSpec] = []
    if own_simulator and url is not None:
        port = url.rsplit(":", 1)[1]
        children.append(ChildSpec(SIMULATOR, ("simulator", "--port", port), f"{url}/livez", common))
    children.append(_with_ops("classifier", ("classifier",), next(ports), common))
    for provider, slot in slots:
        arguments = ("worker", provider) if slot == 0 else ("worker", provider, "--slot", str(slot))
        name = f"worker-{provider}" if slot == 0 else f"worker-{provider}-{slot}"
        children.append(_with_ops(name, arguments, next(ports), common))
    return LocalPlan(tuple(children), simulated, url if own_simulator else None)


def _with_ops(
    name: str, arguments: tuple[str, ...], port: int, common: dict[str, str]
) -> ChildSpec:
    environment = {
        **common,
        "WEIGHBRIDGE_OPS__HOST": HOST,
        "WEIGHBRIDGE_OPS__PORT": str(port),
    }
    return ChildSpec(name, arguments, f"http://{HOST}:{port}/readyz", environment)
