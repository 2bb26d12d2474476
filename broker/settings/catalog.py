"""What is served, from the sections of the settings."""

from collections.abc import Mapping

from broker.records.prompt import Catalog, Kind, Offer
from broker.settings.providers import ProviderSettings
from broker.settings.sections import ModelSettings


def catalog_of(
    models: Mapping[str, ModelSettings],
    providers: Mapping[str, ProviderSettings],
    completion_partitions: int,
) -> Catalog:
    """For the validation and routing of prompts; providers are preferred in their order."""
    kinds: dict[str, Kind] = {alias: model.kind for alias, model in models.items()}
    defaults: dict[Kind, str] = {}
    for alias, model in models.items():
        if model.default:
            defaults.setdefault(model.kind, alias)
    serving = {
        alias: tuple(name for name, given in providers.items() if alias in given.models)
        for alias in models
    }
    offers = {alias: _offers(alias, providers) for alias in models}
    bounded = {alias: found for alias, found in offers.items() if found}
    return Catalog(kinds, defaults, serving, completion_partitions, bounded)


def _offers(alias: str, providers: Mapping[str, ProviderSettings]) -> dict[str, Offer]:
    served = {name: given.models.get(alias) for name, given in providers.items()}
    return {
        name: Offer(frozenset(one.lacks), one.context_tokens)
        for name, one in served.items()
        if one is not None and (one.lacks or one.context_tokens is not None)
    }
