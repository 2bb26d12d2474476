"""What each model costs at a provider: by the settings, the user's own file, the shipped table."""

from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from broker.core.prices import FREE, UNKNOWN, Prices
from broker.settings.loading import Settings
from broker.settings.price_table import Found, PriceTable, read_prices, shipped_prices
from broker.settings.providers import ProviderSettings, ServedModel


@dataclass(frozen=True, slots=True)
class Priced:
    """A model's prices and where they come from, in words; empty where none is known."""

    prices: Prices
    source: str = ""

    def is_known(self, kind: str) -> bool:
        """Whether a usual prompt of this kind can be priced."""
        prices = self.prices
        if kind == "image":
            return prices.image is not None or None not in (prices.input, prices.output)
        return prices.input is not None and (kind == "embedding" or prices.output is not None)


def price_tables(settings: Settings) -> tuple[PriceTable, ...]:
    """The tables, the one that goes first first; raises UsageError for a file that is wrong."""
    own = settings.prices.file
    return (shipped_prices(),) if own is None else (read_prices(own), shipped_prices())


def priced_models(
    settings: Settings, provider: str, tables: tuple[PriceTable, ...] | None = None
) -> dict[str, Priced]:
    """What each of a provider's models costs, by our alias; raises UsageError."""
    given = settings.provider(provider)
    if given.billing == "hourly":
        return dict.fromkeys(given.models, Priced(FREE, "paid for by the hour"))
    known = price_tables(settings) if tables is None else tables
    return {
        alias: _over(_found(provider, given, served, known), served)
        for alias, served in given.models.items()
    }


def prices_of(settings: Settings, provider: str) -> dict[str, Prices]:
    """The same without the sources, as a worker needs it."""
    return {alias: priced.prices for alias, priced in priced_models(settings, provider).items()}


def _found(
    name: str, provider: ProviderSettings, served: ServedModel, tables: tuple[PriceTable, ...]
) -> Found | None:
    host = None if provider.base_url is None else urlsplit(provider.base_url).hostname or ""
    model = served.priced_as or served.name
    for table in tables:
        found = table.named(model) if served.priced_as else None
        found = found or table.find(model, name, provider.dialect, host)
        if found is not None:
            return found
    return None


def _over(found: Found | None, served: ServedModel) -> Priced:
    """What stands in the settings goes before what was found."""
    prices = UNKNOWN if found is None else found.prices
    source = "" if found is None else found.source
    own = {
        "input": served.usd_per_million_input,
        "cached_input": served.usd_per_million_cached_input,
        "output": served.usd_per_million_output,
        "image": served.usd_per_image,
    }
    changes = {name: price for name, price in own.items() if price is not None}
    if not changes:
        return Priced(prices, source)
    if "input" in changes:
        # The table's price of cached input, and its step for long input, belong to its own input.
        changes.setdefault("cached_input", served.usd_per_million_input)  # type: ignore[arg-type]  # not None
    kept = replace(prices, long_above=None, long=None, **changes)
    return Priced(kept, "the settings" if not source else f"the settings, else {source}")
