"""What `weighbridge up` runs on this machine, as it wrote down in its state folder."""

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from broker.cli.examination.finding import Finding, ok, problem, warning
from broker.log.clients import EMBEDDED
from broker.settings import Settings
from broker.settings.loading import state_folder
from broker.settings.local_model import with_local_model

ANSWER_S = 2.0
_OK = 200


def as_it_runs(settings: Settings) -> Settings:
    """The settings as `up` has changed them for what runs here: simulator and local model.

    Unchanged where `up` does not run, or on other brokers.
    """
    told = _read(state_folder() / "up.json")
    if told is None or not psutil.pid_exists(int(told["pid"])):
        return settings
    if settings.kafka.bootstrap not in {EMBEDDED, told["bootstrap"]}:
        return settings
    if settings.simulator.url is None and told.get("simulator") is not None:
        simulator = settings.simulator.model_copy(update={"url": told["simulator"]})
        settings = settings.model_copy(update={"simulator": simulator})
    local = told.get("local_model")
    if settings.local_model.url is None and local is not None:
        settings = with_local_model(settings, url=local["url"], name=local["name"])
    return settings


def examine_running() -> Iterator[Finding]:
    """Whether `up` runs here, and each child's `/readyz` (the simulator's `/livez`)."""
    note = state_folder() / "up.json"
    told = _read(note)
    if told is None:
        yield ok("up", "does not run here")
        return
    if not psutil.pid_exists(int(told["pid"])):
        text = f"It ended without tidying up ({note} is left)."
        yield warning("up", text, "Run `weighbridge up` again; nothing is lost.")
        return
    yield ok("up", f"runs (process {told['pid']}), Kafka at {told['bootstrap']}")
    for name, child in told["children"].items():
        yield _ready(name, str(child["ready_url"]), state_folder() / "logs" / f"{name}.log")


def _read(note: Path) -> dict[str, Any] | None:
    try:
        told = json.loads(note.read_text())
    except (OSError, ValueError):
        return None
    return (
        told if isinstance(told, dict) and {"pid", "children", "bootstrap"} <= set(told) else None
    )


def _ready(name: str, url: str, log: Path) -> Finding:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=ANSWER_S)
    try:
        connection.request("GET", parts.path)
        answer = connection.getresponse()
        said = answer.read(300).decode(errors="replace").strip()
    except (OSError, http.client.HTTPException):
        return problem(name, f"It does not answer at {url}.", f"See its log: {log}")
    finally:
        connection.close()
    if answer.status != _OK:
        return problem(name, f"It is not ready: {said}", f"See its log: {log}")
    return ok(name, f"ready at {url}")
