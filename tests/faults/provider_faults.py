"""Harm to the clouds, through the simulator: storms of 429, and outages of one and of all."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from tests.faults.deployment import wait_until
from tests.faults.rig import Rig

STORM_S: Final = 5.0
OUTAGE_S: Final = 4.0
AFTER_OUTAGE_S: Final = 10.0
RETRY_SHARE: Final = 0.10
RETRY_FLOOR: Final = 3
"""A quiet provider may retry so often whatever its share."""


@dataclass(frozen=True, slots=True)
class Down:
    """An outage (monotonic times)."""

    began: float
    ended: float


def storm_of_429(rig: Rig, chance: Random) -> None:
    """Most calls to the preferred provider, and some to the other, are turned away for a while."""
    simulator = rig.deployment.simulator
    heavy = chance.uniform(0.6, 0.9)
    simulator.set_faults("azure", {"rate_limited": heavy, "retry_after_s": 0.3})
    simulator.set_faults("google", {"rate_limited": 0.08, "retry_after_s": 0.3})
    time.sleep(STORM_S)
    simulator.clear_faults()


def one_provider_out(rig: Rig, chance: Random) -> Down:
    """The preferred provider is down for some seconds."""
    return _out(rig, chance, "azure")


def all_providers_out(rig: Rig, chance: Random) -> None:
    """Every provider is down for some seconds."""
    _out(rig, chance, *rig.deployment.settings.providers)


def down_for(rig: Rig, providers: Sequence[str], seconds: float, how: str) -> Down:
    """These are down for so long, and say so (`error`) or cut every connection (`cut`)."""
    simulator = rig.deployment.simulator
    began = time.monotonic()
    for provider in providers:
        simulator.set_faults(provider, {"outages": [{"to_s": seconds}], "outage_as": how})
    time.sleep(max(0.0, began + seconds - time.monotonic()))
    simulator.clear_faults()
    return Down(began, time.monotonic())


def wait_used_again(rig: Rig, provider: str, since: float, deadline_s: float) -> float:
    """Seconds from `since` (monotonic) until its first answer after that could be read."""

    def first() -> float | None:
        seen = (one for identity in rig.answers.ids() for one in rig.answers.of(identity))
        return min(
            (one.at for one in seen if one.provider == provider and one.at > since), default=None
        )

    wait_until(lambda: first() is not None, deadline_s, f"an answer of {provider}, which is back")
    at = first()
    assert at is not None
    return at - since


def _out(rig: Rig, chance: Random, *providers: str) -> Down:
    seconds = OUTAGE_S * chance.uniform(0.8, 1.2)
    return down_for(rig, providers, seconds, chance.choice(("error", "cut")))
