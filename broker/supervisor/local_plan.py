"""Which processes make Weighbridge on one machine, and how each is told what it needs."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from broker.settings import Settings
from broker.supervisor.child import ChildSpec
from broker.supervisor.ports import free_ports

HOST = "127.0.0.1"
SIMULATOR = "simulator"
LOCAL_MODEL = "local-model"


@dataclass(frozen=True, slots=True)
class LocalPlan:
    """The children in the order they are started, and where the simulator will be, if one runs.

    `local_model` is the file of the model that a child serves.
    """

    children: tuple[ChildSpec, ...]
    simulated: tuple[str, ...]
    simulator_url: str | None
    local_model: Path | None = None


def plan_children(
    settings: Settings,
    *,
    bootstrap: str,
    config: Path | None,
    workers_per_provider: int = 1,
    local_model: Path | None = None,
) -> LocalPlan:
    """One classifier and a pool for each provider; the simulator for those without an address.

    `local_model` is served at `local_model.url` of the settings, by a child of its own.
    """
    simulated = tuple(name for name in settings.providers if settings.is_simulated(name))
    own_simulator = bool(simulated) and settings.simulator.url is None
    slots = [
        (provider, slot) for provider in settings.providers for slot in range(workers_per_provider)
    ]
    local_url = settings.local_model.url
    taken = None if local_url is None else urlsplit(local_url).port
    ports = (port for port in free_ports(len(slots) + 3) if port != taken)
    url = f"http://{HOST}:{next(ports)}" if own_simulator else settings.simulator.url
    common = {"WEIGHBRIDGE_KAFKA__BOOTSTRAP": bootstrap}
    if url is not None:
        common["WEIGHBRIDGE_SIMULATOR__URL"] = url
    if local_url is not None:
        common["WEIGHBRIDGE_LOCAL_MODEL__URL"] = local_url
        common["WEIGHBRIDGE_LOCAL_MODEL__NAME"] = settings.local_model.name
    if config is not None:
        common["WEIGHBRIDGE_CONFIG"] = str(config.resolve())
    children: list[ChildSpec] = []
    if own_simulator and url is not None:
        port = url.rsplit(":", 1)[1]
        children.append(ChildSpec(SIMULATOR, ("simulator", "--port", port), f"{url}/livez", common))
    if local_model is not None and local_url is not None:
        arguments = (LOCAL_MODEL, str(local_model), "--port", str(taken))
        children.append(ChildSpec(LOCAL_MODEL, arguments, f"{local_url}/health", common))
    children.append(_with_ops("classifier", ("classifier",), next(ports), common))
    for provider, slot in slots:
        place = () if slot == 0 else ("--slot", str(slot))
        name = f"worker-{provider}" if slot == 0 else f"worker-{provider}-{slot}"
        children.append(_with_ops(name, ("worker", provider, *place), next(ports), common))
    return LocalPlan(tuple(children), simulated, url if own_simulator else None, local_model)


def _with_ops(
    name: str, arguments: tuple[str, ...], port: int, common: dict[str, str]
) -> ChildSpec:
    environment = {
        **common,
        "WEIGHBRIDGE_OPS__HOST": HOST,
        "WEIGHBRIDGE_OPS__PORT": str(port),
    }
    return ChildSpec(name, arguments, f"http://{HOST}:{port}/readyz", environment)
