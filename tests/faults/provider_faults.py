"""Harm to the clouds, through the simulator: storms of 429, and outages of one and of all."""

import time
from random import Random
from typing import Final

from tests.faults.rig import Rig

STORM_S: Final = 5.0
OUTAGE_S: Final = 4.0
AFTER_OUTAGE_S: Final = 10.0
RETRY_SHARE: Final = 0.10
RETRY_FLOOR: Final = 3
"""A quiet provider may retry so often whatever its share."""


def storm_of_429(rig: Rig, chance: Random) -> None:
    """Most calls to the preferred provider, and some to the other, are turned away for a while."""
    simulator = rig.deployment.simulator
    heavy = chance.uniform(0.6, 0.9)
    simulator.set_faults("azure", {"rate_limited": heavy, "retry_after_s": 0.3})
    simulator.set_faults("google", {"rate_limited": 0.08, "retry_after_s": 0.3})
    time.sleep(STORM_S)
    simulator.clear_faults()


def one_provider_out(rig: Rig, chance: Random) -> None:
    """The preferred provider is down for some seconds."""
    _out(rig, chance, "azure")


def all_providers_out(rig: Rig, chance: Random) -> None:
    """Every provider is down for some seconds."""
    _out(rig, chance, *rig.deployment.settings.providers)


def _out(rig: Rig, chance: Random, *providers: str) -> None:
    simulator = rig.deployment.simulator
    seconds = OUTAGE_S * chance.uniform(0.8, 1.2)
    how = chance.choice(("error", "cut"))
    for provider in providers:
        simulator.set_faults(provider, {"outages": [{"to_s": seconds}], "outage_as": how})
    time.sleep(seconds)
    simulator.clear_faults()
