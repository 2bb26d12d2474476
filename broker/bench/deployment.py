"""The processes that are measured: each the command a user would type, kept by the supervisor."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from broker.bench.failing import MeasurementFailedError
from broker.bench.site import READY_S, Site
from broker.log.clients import admin_config
from broker.log.topics import apply_topics
from broker.settings import Settings, load_settings
from broker.supervisor.child import ChildSpec
from broker.supervisor.ports import free_ports
from broker.supervisor.supervisor import ChildEvent, Supervisor

PROVIDER: Final = "bench"
CLASSIFIER: Final = "classifier"
WORKER: Final = "worker"
SIMULATOR: Final = "simulator"
_HOST: Final = "127.0.0.1"
_DRAIN_S: Final = 20.0
_QUIET: Final = ("started", "ready", "stopping", "stopped")


def worker_name(provider: str = PROVIDER, slot: int = 0) -> str:
    """The child's name of one worker among several."""
    return f"{WORKER}-{provider}-{slot}"


def bounded_cloud(
    slots: int, first_token_s: float, per_token_s: float, *, spread: float = 0.0
) -> dict[str, Any]:
    """A simulated cloud with so many slots, whose calls take times that do not hang on the input.

    With `spread` 0 they are the same for all answers of a length.
    """
    return {
        "slots": slots,
        "first_token_s": first_token_s,
        "per_input_token_s": 0.0,
        "per_token_s": per_token_s,
        "spread": spread,
    }


@dataclass(frozen=True, slots=True)
class Deployment:
    """One topic prefix with its topics and settings. Nothing runs in it by itself."""

    site: Site
    settings: Settings
    config: Path
    simulator_port: int | None

    @asynccontextmanager
    async def running(self, *names: str) -> AsyncIterator["Running"]:
        """Run these children until the block ends, which drains them. Raises NotReadyError."""
        specs = [self._spec(name) for name in names]
        supervisor = Supervisor(specs, log_folder=self.site.folder / "logs", on_event=self._tell)
        async with supervisor:
            await supervisor.start(deadline_s=READY_S)
            try:
                yield Running(supervisor)
            finally:
                await supervisor.stop(drain_s=_DRAIN_S, last=(SIMULATOR,))

    def _spec(self, name: str) -> ChildSpec:
        folders = {"XDG_DATA_HOME": "data", "XDG_STATE_HOME": "state"}
        environment = {
            "WEIGHBRIDGE_CONFIG": str(self.config),
            **{variable: str(self.site.folder / place) for variable, place in folders.items()},
        }
        if name == SIMULATOR:
            url = f"http://{_HOST}:{self.simulator_port}/livez"
            return ChildSpec(
                name, (SIMULATOR, "--port", str(self.simulator_port)), url, environment
            )
        (port,) = free_ports(1)
        environment |= {"WEIGHBRIDGE_OPS__HOST": _HOST, "WEIGHBRIDGE_OPS__PORT": str(port)}
        arguments: tuple[str, ...] = (name,)
        if name.startswith(WORKER):
            provider, _, slot = name.removeprefix(f"{WORKER}-").rpartition("-")
            arguments = (WORKER, provider or PROVIDER, "--slot", slot if provider else "0")
        return ChildSpec(name, arguments, f"http://{_HOST}:{port}/readyz", environment)

    def _tell(self, event: ChildEvent) -> None:
        if event.kind not in _QUIET:
            self.site.say(f"  {event.name} {event.text}")


@dataclass(frozen=True, slots=True)
class Running:
    """Children that run."""

    supervisor: Supervisor

    def pid(self, name: str) -> int:
        """Of a child that runs now; raises MeasurementFailedError when it does not."""
        pid = self.supervisor.children[name].pid
        if pid is None:
            raise MeasurementFailedError(
                f"The {name} ended while it was measured. Its log ends:\n"
                f"{self.supervisor.children[name].last_lines()}"
            )
        return pid


async def made_deployment(
    site: Site,
    prefix: str,
    *,
    provider: Mapping[str, Any] | None = None,
    simulator: Mapping[str, Any] | None = None,
    more: Mapping[str, Mapping[str, Any]] | None = None,
) -> Deployment:
    """Topics under a prefix, and a settings file for one provider; all else has its default.

    `more` are further sections, or others instead of these.

    The stand-in plays the provider, with `provider` as further settings of it; with `simulator`,
    which is the section of that name, the simulator does.
    """
    simulator_port = None
    given: dict[str, Any] = {"models": {"bench-chat": "stand-in"}, **(provider or {})}
    sections: dict[str, Any] = {
        "kafka": {"bootstrap": site.bootstrap, "prefix": prefix},
        "models": {"bench-chat": {"kind": "chat", "default": True}},
        "providers": {PROVIDER: given},
    }
    if simulator is None:
        given.setdefault("base_url", site.stand_in.url)
    else:
        (simulator_port,) = free_ports(1)
        sections["simulator"] = {"url": f"http://{_HOST}:{simulator_port}", **simulator}
    config = site.write_settings(prefix, {**sections, **(more or {})})
    settings = load_settings(config)
    await asyncio.to_thread(apply_topics, settings, admin_config(settings))
    return Deployment(site, settings, config, simulator_port)
