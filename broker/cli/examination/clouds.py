"""The providers: their settings, whether their keys are there and their addresses answer.

No call is made.
"""

import asyncio
from collections.abc import Iterator, Sequence
from functools import partial
from urllib.parse import urlsplit

from broker.cli.examination.addresses import unreachable
from broker.cli.examination.finding import Examiner, Finding, failed, ok, problem, warning
from broker.records.errors import UsageError
from broker.settings import ProviderSettings, Settings
from broker.settings.prices import price_tables
from broker.settings.problems import Problem
from broker.settings.secrets import REFERENCES
from workers.credentials import credential_for
from workers.providers.dialect import Adapter
from workers.providers.registry import adapter_for

_PORTS = {"http": 80, "https": 443}
_SIGNED_IN = {
    "entra": "tokens of Microsoft's Entra, as this machine is signed in",
    "google": "tokens of Google's application default credentials",
    "none": "it needs none",
}


def examine_providers(settings: Settings, doubts: Sequence[Problem]) -> Iterator[Finding]:
    """Each provider's settings and credential, and what `doubts` of the settings are of them."""
    simulated = [name for name in settings.providers if settings.is_simulated(name)]
    if not settings.providers:
        yield problem("providers", "There is none.", "Add [providers.NAME] to the settings.")
    if simulated:
        yield ok("providers", f"the simulator stands in for {', '.join(simulated)}")
    for name, given in settings.providers.items():
        try:
            adapter = adapter_for(given)
        except UsageError as error:
            yield failed(f"settings of {name}", error)
            continue
        yield ok(f"settings of {name}", _settings(given))
        if name not in simulated:
            yield _credential(name, given, adapter, doubts)
    try:
        price_tables(settings)
    except UsageError as error:
        yield failed("prices", error)
    for doubt in doubts:
        section, _, rest = doubt.place.partition(".")
        name, _, field = rest.partition(".")
        told = field == "api_key" or (field == "base_url" and name in simulated)
        if section in {"models", "providers"} and not told:
            yield warning(doubt.place, f"{doubt.text}.", doubt.mend)


def _settings(given: ProviderSettings) -> str:
    served = ", ".join(f"{alias} as {model.name}" for alias, model in given.models.items())
    return f"dialect {given.dialect}, serves {served or 'nothing'}"


def address_examiners(settings: Settings) -> dict[str, Examiner]:
    """One for each address, since a name server may take its time; each makes a TCP connection."""
    found = {
        f"provider {name}": settings.base_url(name)
        for name in settings.providers
        if not settings.is_simulated(name)
    }
    if settings.simulator.url is not None:
        found["simulator"] = settings.simulator.url
    return {check: partial(_examine_address, check, url) for check, url in found.items()}


def _examine_address(check: str, url: str) -> Iterator[Finding]:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    text = unreachable(host, port)
    if text is None:
        yield ok(check, f"{host}:{port} accepts connections")
    else:
        mend = "Check its URL in the settings, the network, and a firewall or proxy."
        yield problem(check, text, mend)


def _credential(
    name: str, given: ProviderSettings, adapter: Adapter, doubts: Sequence[Problem]
) -> Finding:
    """Whether there is one; only a call tells whether the provider takes it."""
    check, place = f"key of {name}", f"providers.{name}.api_key"
    try:
        asyncio.run(_opened(name, given, adapter))
    except UsageError as error:
        return failed(check, error)
    if given.auth != "key":
        return ok(check, _SIGNED_IN[given.auth])
    for doubt in doubts:
        if doubt.place == place:
            return warning(check, f"{doubt.text[:1].upper()}{doubt.text[1:]}.", doubt.mend)
    shown = given.api_key or ""
    return ok(check, f"set by {shown}" if shown.startswith(REFERENCES) else "set in the settings")


async def _opened(name: str, given: ProviderSettings, adapter: Adapter) -> None:
    await credential_for(given, adapter, name).close()
