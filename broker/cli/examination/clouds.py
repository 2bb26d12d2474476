"""The providers: whether their keys are there and their addresses answer. No call is made."""

from collections.abc import Iterator
from functools import partial
from urllib.parse import urlsplit

from broker.cli.examination.addresses import unreachable
from broker.cli.examination.finding import Examiner, Finding, failed, ok, problem, warning
from broker.records.errors import UsageError
from broker.settings import Settings
from broker.settings.loading import resolve_secret

_PORTS = {"http": 80, "https": 443}


def examine_keys(settings: Settings) -> Iterator[Finding]:
    """Which providers are simulated, and whether the keys of the others can be read."""
    simulated = [name for name in settings.providers if settings.is_simulated(name)]
    if not settings.providers:
        yield problem("providers", "There is none.", "Add [providers.NAME] to the settings.")
    if simulated:
        yield ok("providers", f"the simulator stands in for {', '.join(simulated)}")
    for name in settings.providers:
        if name not in simulated:
            yield _key(settings, name)


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


def _key(settings: Settings, name: str) -> Finding:
    check, given = f"key of {name}", settings.provider(name).api_key
    try:
        secret = resolve_secret(given)
    except UsageError as error:
        return failed(check, error)
    if not secret:
        mend = f'Set providers.{name}.api_key = "env:NAME", unless it needs none.'
        return warning(check, "There is none.", mend)
    return ok(check, f"set by {given}" if given and ":" in given[:5] else "set in the settings")
