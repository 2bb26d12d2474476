"""Small traces and settings for replays."""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from broker.records.incoming import Source
from broker.records.prompt import Prompt
from broker.settings import Settings, load_settings
from broker.simulate.asked import Asked, asked_of
from broker.simulate.models import simulated_clouds
from broker.simulate.outcome import Outcome
from broker.simulate.replay import Delays, Replay
from broker.simulate.traces import EPOCH


def settings_of(**more: Mapping[str, Any]) -> Settings:
    """Two clouds with four places each, which are a little too few for `asked_often`."""
    clouds = {
        "azure": {"slots": 4, "queue": 4, "first_token_s": 0.4, "per_token_s": 0.01},
        "google": {"slots": 4, "queue": 4, "first_token_s": 0.3, "per_token_s": 0.01},
    }
    given: dict[str, Any] = {
        "models": {"chat-small": {"kind": "chat", "default": True}},
        "providers": {
            "azure": {
                "dialect": "azure",
                "models": {"chat-small": "gpt-5-mini"},
                "max_in_flight": 4,
            },
            "google": {
                "dialect": "gemini",
                "models": {"chat-small": "gemini-3-flash"},
                "max_in_flight": 4,
            },
        },
        "simulator": {"clouds": clouds},
    }
    return load_settings(**{**given, **more})


def asked(
    number: int,
    at_s: float,
    *,
    tokens_in: int = 300,
    tokens_out: int | None = 100,
    tenant: str = "default",
    deadline_s: float | None = None,
    fields: Mapping[str, Any] | None = None,
) -> Asked:
    """One prompt."""
    prompt = Prompt(
        id=f"p{number}",
        tenant=tenant,
        kind="chat",
        model="chat-small",
        priority="standard",
        provider=None,
        deadline=None if deadline_s is None else EPOCH + at_s + deadline_s,
        stream=False,
        accepted_at=EPOCH + at_s,
        source=Source(0, number),
        reply_partition=None,
        explicit_id=True,
        fields=fields or {},
        metadata={},
    )
    return asked_of(prompt, tokens_in, tokens_out)


def asked_often(count: int, *, seed: int = 1, rate: float = 6.0) -> tuple[Asked, ...]:
    """Prompts at random times, of random lengths, of three tenants."""
    chance, at, made = Random(seed), 0.0, []
    for number in range(count):
        at += chance.expovariate(rate)
        made.append(
            asked(
                number,
                at,
                tokens_in=chance.randrange(20, 6_000),
                tokens_out=max(1, int(chance.lognormvariate(4.5, 0.8))),
                tenant=chance.choice(("red", "green", "blue")),
                deadline_s=chance.choice((None, None, 20.0)),
            )
        )
    return tuple(made)


def replayed(settings: Settings, prompts: Sequence[Asked], *, seed: int = 1) -> Outcome:
    """By the clouds of these settings."""
    return Replay(settings, prompts, simulated_clouds(settings), delays=Delays(), seed=seed).run()
