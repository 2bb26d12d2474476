"""The same prompts through a real deployment, and through `simulate`, side by side."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from broker.load.replay import DuePrompt, plan_replay, send_when_due
from broker.load.sender import PromptSender
from broker.settings import Settings, load_settings
from tests.cli.running import run
from tests.faults.answers import Answers
from tests.faults.deployment import deployed, variables, wait_until
from tests.faults.rig import SESSION_S, TOPICS

AFTER_S: Final = 120.0
"""So long after the last prompt was sent all are answered, on a busy machine as well."""

FEWEST: Final = {"p50": 25, "p95": 60}
"""Of fewer answers in a lane such a quantile says nothing: a p95 is then one prompt's or two."""

CLOUDS: Final[dict[str, dict[str, Any]]] = {
    "azure": {"slots": 10, "queue": 10, "first_token_s": 1.0, "per_token_s": 0.012},
    "google": {"slots": 6, "queue": 6, "first_token_s": 0.9, "per_token_s": 0.010},
    "coreweave": {"slots": 6, "queue": 6, "first_token_s": 0.8, "per_token_s": 0.010},
}
_MODELS: Final = {"azure": "gpt-5-mini", "google": "gemini-3-flash", "coreweave": "gpt-oss-20b"}
_DIALECTS: Final = {"azure": "azure", "google": "gemini", "coreweave": "vllm"}


def few_places(bootstrap: str, prefix: str) -> Settings:
    """Three simulated clouds with so few places that prompts queue."""
    return load_settings(
        kafka={"bootstrap": bootstrap, "prefix": prefix, "session_timeout_s": SESSION_S},
        topics=TOPICS,
        models={"chat-small": {"kind": "chat", "default": True}},
        providers={
            name: {
                "dialect": _DIALECTS[name],
                "models": {"chat-small": _MODELS[name]},
                "max_in_flight": cloud["slots"],
                "adaptive": False,
            }
            for name, cloud in CLOUDS.items()
        },
        routing={"light_wait_s": 1.5, "medium_wait_s": 1.0, "heavy_wait_s": 0.5},
        lanes={"light_max": 1_500, "heavy_min": 20_000},
        simulator={"clouds": CLOUDS},
        log={"format": "json"},
    )


@dataclass(frozen=True, slots=True)
class Both:
    """What `simulate --json` said of the trace, and of the log that the real run left."""

    of_trace: dict[str, Any]
    of_log: dict[str, Any]


def run_both(settings: Settings, folder: Path, *, prompts: int, speed: float) -> Both:
    """Send part of the trace when each prompt is due, wait for all answers, then simulate both."""
    plan = plan_replay(prompts, speed, lanes=settings.lanes, heavy_every=None)
    with deployed(settings, folder) as deployment, Answers(deployment.settings) as answers:
        with PromptSender(deployment.settings) as sender:
            send_when_due(plan, sender)
            sender.flush()
        wait_until(
            lambda: len(answers.ids()) == len(plan),
            AFTER_S,
            lambda: f"{len(answers.ids())} of {len(plan)} answers",
        )
        ours: Any = variables(deployment.settings)
        trace = folder / "trace.jsonl"
        trace.write_bytes(b"".join(map(_line, plan)))
        of_trace = run(settings, "simulate", "--trace", str(trace), "--json", **ours).json()
        of_log = run(settings, "simulate", "--from-log", "--json", **ours).json()
    both = Both(of_trace, of_log)
    (folder / "both.json").write_bytes(orjson.dumps(both, option=orjson.OPT_INDENT_2))
    return both


def _line(prompt: DuePrompt) -> bytes:
    return orjson.dumps({"id": prompt.id, "at_s": prompt.due_s, **prompt.fields}) + b"\n"


def differences(real: dict[str, Any], simulated: dict[str, Any]) -> dict[str, float]:
    """By how much of the real one each lane's quantiles differ, by `lane quantile`."""
    found = {}
    for lane, figures in real["lanes"].items():
        there = simulated["lanes"].get(lane, {})
        for name, fewest in FEWEST.items():
            if figures["answered"] >= fewest:
                value = there.get(name)
                off = float("inf") if value is None else value / figures[name] - 1
                found[f"{lane} {name}"] = round(off, 3)
    return found


def worst(found: dict[str, float]) -> float:
    """The greatest of them, either way."""
    return max(map(abs, found.values()))
