"""Everything on this machine: the embedded broker or another, topics, and the children."""

import asyncio
import contextlib
import fcntl
import json
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from broker.log.clients import EMBEDDED, admin_config, embedded_folder
from broker.log.embedded import EmbeddedKafka
from broker.log.topics import apply_topics
from broker.records.errors import NotReadyError
from broker.settings import Settings
from broker.settings.loading import state_folder
from broker.supervisor.local_plan import LOCAL_MODEL, SIMULATOR, LocalPlan, plan_children
from broker.supervisor.supervisor import ChildEvent, Supervisor

KAFKA_DEADLINE_S = 60.0
CHILDREN_DEADLINE_S = 60.0
MODEL_DEADLINE_S = 600.0
"""A model of some gigabytes on a slow disk takes its time to be read."""
_CALLED = (SIMULATOR, LOCAL_MODEL)
Say = Callable[[str, str], None]
"""Told (who, what) of every step, for a person."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What is running. `ready_s` is how long it took to come up."""

    bootstrap: str
    plan: LocalPlan
    supervisor: Supervisor
    ready_s: float


@asynccontextmanager
async def running_machine(
    settings: Settings,
    *,
    config: Path | None,
    say: Say,
    drain_s: float | None = None,
    local_model: Path | None = None,
) -> AsyncIterator[Machine]:
    """Bring everything up, and down again in order when the block ends."""
    began = time.monotonic()
    state = state_folder()
    with only_one(state / "up.lock"):
        async with _broker(settings, say) as bootstrap:
            connection = settings.at(bootstrap)
            say("topics", await asyncio.to_thread(_apply_topics, connection))
            plan = plan_children(
                settings, bootstrap=bootstrap, config=config, local_model=local_model
            )
            supervisor = Supervisor(
                plan.children,
                log_folder=state / "logs",
                on_event=lambda event: _tell(event, say),
            )
            async with supervisor:
                say("children", f"starting {len(plan.children)}: {', '.join(supervisor.children)}")
                deadline_s = CHILDREN_DEADLINE_S if local_model is None else MODEL_DEADLINE_S
                await supervisor.start(deadline_s=deadline_s)
                ready_s = time.monotonic() - began
                _describe(state / "up.json", settings.at(bootstrap), plan, supervisor)
                try:
                    yield Machine(bootstrap, plan, supervisor, ready_s)
                finally:
                    say("children", "draining")
                    drain = settings.worker.drain_s if drain_s is None else drain_s
                    # The workers' last calls still need what they call.
                    clean = await supervisor.stop(drain_s=drain + 5.0, last=_CALLED)
                    say("children", "all ended" if clean else "ended, some by force")
                    (state / "up.json").unlink(missing_ok=True)


@contextmanager
def only_one(lock: Path) -> Iterator[None]:
    """Hold this machine's lock; raises NotReadyError when another `up` or `demo` has it."""
    with _opened(lock) as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            held.seek(0)
            owner = held.read().strip() or "unknown"
            raise NotReadyError(
                f"Weighbridge already runs here (process {owner}).",
                mend="End it, or set XDG_STATE_HOME and XDG_DATA_HOME to other folders.",
                code="already_running",
            ) from None
        held.truncate(0)
        held.write(str(os.getpid()))
        held.flush()
        try:
            yield
        finally:
            held.truncate(0)


def _opened(lock: Path) -> TextIO:
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        return lock.open("a+")
    except OSError as error:
        raise NotReadyError(
            f"{lock.parent} cannot be used: {error.strerror or error}.",
            mend="Make it writable, or set XDG_STATE_HOME to another folder.",
            code="folder_unusable",
        ) from error


@asynccontextmanager
async def _broker(settings: Settings, say: Say) -> AsyncIterator[str]:
    if settings.kafka.bootstrap != EMBEDDED:
        say("kafka", f"using {settings.kafka.bootstrap}")
        yield settings.kafka.bootstrap
        return
    kafka = EmbeddedKafka(embedded_folder(), profile="full", owned=True)
    owned = not (await asyncio.to_thread(kafka.status)).running
    say("kafka", "starting Apache Kafka" if owned else "already running")
    running = await asyncio.to_thread(
        kafka.start, KAFKA_DEADLINE_S, progress=lambda text: say("kafka", text)
    )
    say("kafka", f"ready at {running.bootstrap}")
    try:
        yield running.bootstrap
    finally:
        if owned:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(asyncio.to_thread(kafka.stop))
            say("kafka", "stopped; its data are kept")


def _apply_topics(settings: Settings) -> str:
    changes = apply_topics(settings, admin_config(settings))
    return f"{len(changes)} created or grown" if changes else "as planned"


def _tell(event: ChildEvent, say: Say) -> None:
    say(event.name, event.text)


def _describe(path: Path, settings: Settings, plan: LocalPlan, supervisor: Supervisor) -> None:
    """Leave a note for `doctor` and for people: what runs where."""
    local = settings.local_model
    path.write_text(
        json.dumps(
            {
                "pid": os.getpid(),
                "bootstrap": settings.kafka.bootstrap,
                "simulator": plan.simulator_url,
                "local_model": local.url and {"url": local.url, "name": local.name},
                "children": {
                    name: {"pid": child.pid, "ready_url": child.spec.ready_url}
                    for name, child in supervisor.children.items()
                },
            },
            indent=2,
        )
    )
