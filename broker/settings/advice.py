"""What in valid settings will probably not do what its author wants."""

import os
from collections.abc import Mapping
from dataclasses import replace

from broker.records.errors import UsageError
from broker.settings.loading import Settings
from broker.settings.origins import Origins
from broker.settings.prices import price_tables, priced_models
from broker.settings.problems import Problem
from broker.settings.secrets import resolve_secret


def advice_on(
    settings: Settings, origins: Origins, environ: Mapping[str, str] = os.environ
) -> tuple[Problem, ...]:
    """Every doubt, in the order of the sections; `environ` is where `env:NAME` is looked up."""
    found = [
        *_kafka(settings, environ),
        *_models(settings),
        *_providers(settings, environ),
        *_prices(settings),
        *_store(settings, environ),
        *_bounds(settings),
    ]
    return tuple(
        Problem(each.place, each.text, each.mend, origins.of(each.place.split(".")))
        for each in found
    )


def _kafka(settings: Settings, environ: Mapping[str, str]) -> list[Problem]:
    found = []
    for name, value in settings.kafka.client.items():
        place = f"kafka.client.{name}"
        found += _secret(place, value, environ)
        if name in _OURS:
            mend = "Take it out, unless you know why; it breaks what Weighbridge promises."
            found.append(Problem(place, "wins over Weighbridge's own value", mend))
    return found


_OURS = frozenset(
    {
        "acks",
        "auto.offset.reset",
        "bootstrap.servers",
        "enable.auto.commit",
        "enable.idempotence",
        "group.id",
        "isolation.level",
        "transactional.id",
    }
)


def _models(settings: Settings) -> list[Problem]:
    found = []
    catalog = settings.catalog()
    for alias, serving in catalog.providers.items():
        # The models that are there when the settings name none are nobody's wish.
        if not serving and "models" in settings.model_fields_set:
            mend = f"Name it in providers.NAME.models, or take models.{alias} out."
            found.append(Problem(f"models.{alias}", "no provider serves it", mend))
    defaults: dict[str, str] = {}
    for alias, model in settings.models.items():
        if model.default and defaults.setdefault(model.kind, alias) != alias:
            text = f"{defaults[model.kind]} is already the default of {model.kind}"
            found.append(Problem(f"models.{alias}.default", text, "Keep one of them."))
    for kind in sorted({model.kind for model in settings.models.values()} - set(defaults)):
        text = f"no model is the default of {kind}, so a prompt without `model` fails"
        found.append(Problem("models", text, "Set models.NAME.default = true for one."))
    return found


def _providers(settings: Settings, environ: Mapping[str, str]) -> list[Problem]:
    found = []
    if not settings.providers:
        found.append(Problem("providers", "there is none", "Add a section [providers.NAME]."))
    for name, provider in settings.providers.items():
        place = f"providers.{name}"
        if not provider.models:
            mend = f'Set {place}.models, as in {{ chat-small = "their-name" }}.'
            found.append(Problem(f"{place}.models", "it serves no model, so it gets nothing", mend))
        if provider.base_url is None:
            mend = f"Set {place}.base_url and {place}.api_key to call the real one."
            found.append(Problem(f"{place}.base_url", "the simulator stands in for it", mend))
        elif provider.api_key is None and provider.auth == "key":
            mend = f'Set {place}.api_key = "env:NAME", unless it needs none.'
            found.append(Problem(f"{place}.api_key", "it is called without a key", mend))
        if provider.auth != "key" and provider.api_key is not None:
            text = f'it is not used, as auth is "{provider.auth}"'
            found.append(Problem(f"{place}.api_key", text, "Take one of the two out."))
        found += _secret(f"{place}.api_key", provider.api_key, environ)
        if provider.api_key and not provider.api_key.startswith(("env:", "file:")):
            mend = 'Use "env:NAME" or "file:PATH", so that the key is not in the settings.'
            found.append(Problem(f"{place}.api_key", "the key itself stands here", mend))
        if provider.total_s < provider.first_byte_s:
            text = f"{provider.total_s:g} s end a call before first_byte_s does"
            found.append(Problem(f"{place}.total_s", text, "Raise it, or lower first_byte_s."))
    return found


def _prices(settings: Settings) -> list[Problem]:
    found = []
    try:
        tables = price_tables(settings)
    except UsageError:
        return []  # a mistake, which is told as one
    for name in settings.providers:
        for alias, priced in priced_models(settings, name, tables).items():
            if not priced.is_known(settings.models[alias].kind):
                place = f"providers.{name}.models.{alias}"
                found.append(Problem(place, "what it costs is not known", _PRICE_IT))
    return found


_PRICE_IT = (
    'Give it usd_per_million_input and usd_per_million_output, or priced_as = "openai/gpt-5" and '
    'the like; or set billing = "hourly".'
)


def _store(settings: Settings, environ: Mapping[str, str]) -> list[Problem]:
    store, found = settings.store, []
    places = {"store.options": store.options}
    places |= {f"store.inputs.{n}.options": one.options for n, one in enumerate(store.inputs)}
    for place, options in places.items():
        for name, value in options.items():
            found += _secret(f"{place}.{name}", value, environ)
    return found


def _bounds(settings: Settings) -> list[Problem]:
    found = []
    lanes, routing, worker = settings.lanes, settings.routing, settings.worker
    if lanes.reserved_light == 0:
        text = "no slot is kept for light prompts, so they can wait behind heavy ones"
        found.append(Problem("lanes.reserved_light", text, "Set it to 0.1 or more."))
    if lanes.heavy_min < 2 * lanes.light_max:
        text = f"hardly anything is medium between {lanes.light_max} and {lanes.heavy_min}"
        found.append(Problem("lanes.heavy_min", text, "Twice lanes.light_max or more is usual."))
    if routing.max_moves == 0:
        text = "work is never moved, so an outage fails what waits at that provider"
        found.append(Problem("routing.max_moves", text, "Set it to 1 or more."))
    found += _nobody_may(settings)
    if not worker.journal_before_call:
        text = "after a crash a call may be missing in the journal"
        mend = "Set it to true if repeated calls must be counted."
        found.append(Problem("worker.journal_before_call", text, mend))
    return found


def _nobody_may(settings: Settings) -> list[Problem]:
    """Models that the constraints of a place in `[routing]` leave to no provider."""
    found = []
    catalog = settings.catalog()
    for place, choice in settings.routing.choices().items():
        alias = place.removeprefix("routing.models.")
        for model in [alias] if alias in settings.models else settings.models:
            serving = catalog.providers.get(model, ())
            regions = {name: settings.provider(name).region for name in serving}
            # Prices are a prompt's own: they bar nobody here.
            barred = replace(choice.constraint(), max_usd=None).bars(serving, regions, {})
            if serving and len(barred) == len(serving):
                text = f"no provider that serves {model!r} may answer its prompts"
                found.append(Problem(place, text, "Allow one of them, or give it a `region`."))
    return found


def _secret(place: str, reference: str | None, environ: Mapping[str, str]) -> list[Problem]:
    try:
        resolve_secret(reference, environ)
    except UsageError as error:
        return [Problem(place, error.message.rstrip("."), error.mend)]
    return []
