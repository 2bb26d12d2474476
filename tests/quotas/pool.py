"""A provider with a limit per minute, its workers, a backlog, and what the provider let in."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from broker.load.sender import PromptSender
from broker.settings import load_settings
from tests.faults.deployment import Deployment, deployed, wait_until
from tests.faults.rig import SESSION_S, TOPICS

PROVIDER: Final = "openai"
_FLUSH_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Second:
    """What the provider did in one of its seconds (unix)."""

    second: int
    accepted: int
    refused: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Pool:
    """The processes, and the way to give them work."""

    deployment: Deployment

    def give(self, count: int, *, name: str = "p", **fields: Any) -> None:
        """So many light prompts at once, acknowledged by Kafka when this returns."""
        sender = PromptSender(self.deployment.settings)
        for number in range(count):
            given = {"id": f"{name}{number}", "prompt": "Why is the sky blue?", **fields}
            sender.send_value(given["id"], orjson.dumps(given))
        sender.flush(_FLUSH_S)
        sender.close()

    def set_capacity(self, **given: float) -> None:
        """Change the cloud while it runs."""
        self.deployment.simulator.set_capacity(PROVIDER, **given)

    def history(self) -> list[Second]:
        """Second by second, oldest first; quiet ones in between have zeros."""
        answer = self.deployment.simulator.served(PROVIDER, history=True)
        rows = {row[0]: Second(*row[:4]) for row in answer[PROVIDER]["history"]}
        if not rows:
            return []
        return [rows.get(n, Second(n, 0, 0, 0)) for n in range(min(rows), max(rows) + 1)]

    def accepted(self) -> int:
        """Calls let in so far."""
        return sum(second.accepted for second in self.history())

    def wait_accepted(self, count: int, deadline_s: float) -> None:
        """Until the provider has let so many calls in."""
        wait_until(
            lambda: self.accepted() >= count,
            deadline_s,
            lambda: f"{self.accepted()} of {count} calls",
        )


@contextmanager
def pool(
    bootstrap: str,
    prefix: str,
    folder: Path,
    *,
    provider: Mapping[str, Any],
    cloud: Mapping[str, Any],
) -> Iterator[Pool]:
    """One provider with these settings, a simulated cloud with these, and one worker."""
    settings = load_settings(
        kafka={"bootstrap": bootstrap, "prefix": prefix, "session_timeout_s": SESSION_S},
        topics=TOPICS,
        models={"chat-small": {"kind": "chat", "default": True}},
        providers={PROVIDER: {"models": {"chat-small": "gpt-5-mini"}, **provider}},
        simulator={"clouds": {PROVIDER: cloud}},
        log={"format": "json"},
    )
    with deployed(settings, folder) as deployment:
        yield Pool(deployment)


def most_over(history: Sequence[Second], seconds: int, what: str = "accepted") -> int:
    """The most of all stretches of so many seconds."""
    values: list[int] = [getattr(second, what) for second in history]
    return max(sum(values[at : at + seconds]) for at in range(max(1, len(values) - seconds + 1)))
