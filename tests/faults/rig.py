"""A deployment under load with its oracle, as every fault test uses it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from broker.settings import Settings, load_settings
from tests.faults.answers import Answers
from tests.faults.deployment import Deployment, deployed, variables
from tests.faults.oracle import Trial, Verdict, expect_exactly_once, judge, trial
from tests.faults.traffic import Traffic

RATE: Final = 60.0
"""Prompts a second: enough that every moment has work in each stage, little for two cores."""
SESSION_S: Final = 3.0
"""Short, so that a takeover comes soon."""
TOPICS: Final[Mapping[str, int]] = {
    "prompts": 4,
    "work": 8,
    "completions": 4,
    "calls": 2,
    "chunks": 1,
    "dead_letters": 1,
}
_MODELS: Final = {"chat-small": {"kind": "chat", "default": True}}
_PROVIDERS: Final = {
    name: {
        "models": {"chat-small": model},
        "max_in_flight": 64,
        "first_byte_s": 20.0,
        "adaptive": False,
    }
    for name, model in {"azure": "gpt-5-mini", "google": "gemini-3-flash"}.items()
}
"""How many calls a provider takes at once is found by their times, and those are other tests' where
all share two cores. What is tried here is other promises; `mixed_kinds` leaves it on."""


def fault_settings(bootstrap: str, prefix: str, **more: Mapping[str, Any]) -> Settings:
    """Two providers with quick simulated clouds, small topics, a short session."""
    given: dict[str, Any] = {
        "kafka": {"bootstrap": bootstrap, "prefix": prefix, "session_timeout_s": SESSION_S},
        "topics": TOPICS,
        "models": _MODELS,
        "providers": _PROVIDERS,
        "simulator": {"speed": 10.0},
        "log": {"format": "json"},
    }
    for name, values in more.items():
        given[name] = {**given.get(name, {}), **values}
    return load_settings(**given)


@dataclass(frozen=True, slots=True)
class Rig:
    """What a fault needs: the processes to harm, the load, and who watches."""

    deployment: Deployment
    traffic: Traffic
    answers: Answers

    def through_proxy(self, name: str, address: str) -> None:
        """Start a member again with its broker behind this address."""
        deployment = self.deployment
        member = deployment.members[name]
        deployment.terminate(name)
        kafka = deployment.settings.kafka.model_copy(update={"bootstrap": address})
        there = deployment.settings.model_copy(update={"kafka": kafka})
        member.environment = {**member.environment, **variables(there)}
        deployment.start(name)
        deployment.wait_ready(name)

    def trial(self, fault: Callable[[], object], **how: float) -> Trial:
        """One fault under load; all that was accepted is answered when this returns."""
        return trial(self.traffic, self.answers, fault, **how)

    def judge(self) -> Verdict:
        """Drain everything and look at the topics."""
        return judge(self.deployment, self.traffic, self.answers)

    def expect_exactly_once(self) -> Verdict:
        """As `judge`, and it must be as promised."""
        verdict = self.judge()
        expect_exactly_once(verdict)
        return verdict


@contextmanager
def rigged(
    settings: Settings,
    folder: Path,
    *,
    rate: float = RATE,
    pin: str | None = None,
    fields: Mapping[str, Any] | None = None,
    kinds: Sequence[Mapping[str, Any]] = ({},),
    file: Path | None = None,
) -> Iterator[Rig]:
    """A deployment that is up, with a load ready to begin and a reader that reads already."""
    with deployed(settings, folder, file) as deployment, Answers(deployment.settings) as answers:
        traffic = Traffic(deployment.settings, rate=rate, pin=pin, fields=fields, kinds=kinds)
        try:
            yield Rig(deployment, traffic, answers)
        finally:
            traffic.stop()
