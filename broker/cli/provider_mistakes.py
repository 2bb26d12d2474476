"""What in the settings of providers stops their workers at the start. No call is made."""

from collections.abc import Iterator

from broker.records.errors import UsageError
from broker.settings import ProviderSettings, Settings
from broker.settings.origins import Origins
from broker.settings.prices import price_tables
from broker.settings.problems import Problem
from workers.providers.registry import DIALECTS, adapter_for
from workers.providers.token_sources import SOURCES


def provider_mistakes(settings: Settings, origins: Origins) -> tuple[Problem, ...]:
    """Dialects that do not exist, what they miss, libraries missing here, an unusable table."""
    found = [
        each
        for name, given in settings.providers.items()
        for each in _of(f"providers.{name}", given)
    ]
    try:
        price_tables(settings)
    except UsageError as error:
        found.append(Problem("prices.file", error.message.rstrip("."), error.mend))
    return tuple(
        Problem(each.place, each.text, each.mend, origins.of(each.place.split(".")))
        for each in found
    )


def _of(place: str, given: ProviderSettings) -> Iterator[Problem]:
    try:
        adapter_for(given)
    except UsageError as error:
        where = place if given.dialect in DIALECTS else f"{place}.dialect"
        yield Problem(where, error.message.rstrip("."), error.mend)
    try:
        if given.auth in SOURCES:
            SOURCES[given.auth](given)
    except UsageError as error:
        yield Problem(f"{place}.auth", error.message.rstrip("."), error.mend)
