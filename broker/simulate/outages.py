"""Outages as a scenario: `PROVIDER:FROM-TO`, in seconds from the first prompt."""

import re
from collections.abc import Sequence
from typing import Final

from broker.records.errors import UsageError
from broker.settings import Settings
from broker.settings.simulated import CloudSettings, OutageSettings

_FORM: Final = re.compile(r"([^:]+):([0-9]+(?:\.[0-9]+)?)-([0-9]+(?:\.[0-9]+)?)")


def with_outages(settings: Settings, given: Sequence[str]) -> Settings:
    """The settings with these outages beside those that they have.

    One of a provider that takes no part is of no effect. Raises UsageError for another form.
    """
    clouds = dict(settings.simulator.clouds)
    for text in given:
        provider, begins, ends = outage_of(text)
        cloud = clouds.get(provider) or CloudSettings()
        outage = OutageSettings(from_s=begins, to_s=ends)
        faults = cloud.faults.model_copy(update={"outages": (*cloud.faults.outages, outage)})
        clouds[provider] = cloud.model_copy(update={"faults": faults})
    simulator = settings.simulator.model_copy(update={"clouds": clouds})
    return settings.model_copy(update={"simulator": simulator})


def outage_of(text: str) -> tuple[str, float, float]:
    """Provider, begin and end; raises UsageError for another form."""
    found = _FORM.fullmatch(text)
    if found is None or float(found[2]) >= float(found[3]):
        raise UsageError(
            f"--outage is {text!r}.",
            mend="Say PROVIDER:FROM-TO in seconds, such as azure:600-900.",
        )
    return found[1], float(found[2]), float(found[3])
