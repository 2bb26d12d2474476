"""Which settings may change while the processes run, and which need a restart.

A restart is needed by what a process builds itself from: its connections, the shapes of the topics
it found, the providers and models there are, its bounds, and what was read from the log by the
other settings (`lengths.half_life_s`).
"""

from collections.abc import Iterator
from typing import Final

from pydantic import BaseModel

from broker.records.errors import UsageError
from broker.settings.loading import Settings
from broker.settings.routing import unknown_names

LIVE_SECTIONS: Final = frozenset(
    {"tenants", "tenant_groups", "tenant_defaults", "routing", "lanes"}
)
"""All of these may change."""
LIVE_LENGTHS: Final = frozenset({"quantile", "most_tenants"})
"""And these of `[lengths]`."""


def is_live(name: str) -> bool:
    """Whether the setting of this dotted name may change while the processes run."""
    section, _, rest = name.partition(".")
    return section in LIVE_SECTIONS or (section == "lengths" and rest in LIVE_LENGTHS)


def differing(one: BaseModel, other: BaseModel) -> Iterator[str]:
    """The dotted names of all settings that differ, in their order; no values."""
    for name in type(one).model_fields:
        yield from _differing(name, getattr(one, name), getattr(other, name))


def with_live(settings: Settings, given: Settings) -> Settings:
    """These settings with the live ones of `given`.

    Raises UsageError where a live one names a provider, a region or a model that only a restart
    would make known: prompts would go to nobody.
    """
    live = {name: getattr(given, name) for name in LIVE_SECTIONS}
    lengths = {name: getattr(given.lengths, name) for name in LIVE_LENGTHS}
    live["lengths"] = settings.lengths.model_copy(update=lengths)
    new = settings.model_copy(update=live)
    regions = {name: provider.region for name, provider in new.providers.items()}
    unknown = unknown_names(new.routing, regions, new.models)
    if unknown:
        told = "; ".join(f"{place} {text}" for place, text in unknown)
        raise UsageError(
            f"This process does not know all that the settings name now: {told} as it started.",
            mend="Start it again, or name in [routing] only what was there.",
            code="needs_restart",
        )
    return new


def _differing(name: str, one: object, other: object) -> Iterator[str]:
    if one == other:
        return
    if isinstance(one, BaseModel) and isinstance(other, BaseModel):
        for inner in differing(one, other):
            yield f"{name}.{inner}"
    elif isinstance(one, dict) and isinstance(other, dict):
        for key in {**one, **other}:
            if key in one and key in other:
                yield from _differing(f"{name}.{key}", one[key], other[key])
            else:
                yield f"{name}.{key}"
    else:
        yield name
