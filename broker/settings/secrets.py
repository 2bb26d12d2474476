"""Secrets: reading the ones that settings refer to, and hiding all of them from view."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from broker.records.errors import UsageError

MASK = "********"
REFERENCES = ("env:", "file:")
_SECRET_WORDS = re.compile(r"password|passphrase|secret|token$|\.pem|private|credential|api.?key")
_PLAIN_VALUE = re.compile(r"-?[0-9]+(\.[0-9]+)?|true|false", re.IGNORECASE)
_PLAIN_NAMES = frozenset(
    {
        "broker.address.family",
        "client.dns.lookup",
        "client.id",
        "client.rack",
        "debug",
        "sasl.kerberos.principal",
        "sasl.kerberos.service.name",
        "sasl.mechanism",
        "sasl.mechanisms",
        "sasl.oauthbearer.method",
        "sasl.oauthbearer.scope",
        "sasl.username",
        "security.protocol",
        "ssl.ca.location",
        "ssl.certificate.location",
        "ssl.endpoint.identification.algorithm",
        "ssl.key.location",
        "ssl.keystore.location",
        # And of stores.
        "region",
        "default_region",
        "account_name",
    }
)
"""There are many settings that hold a secret; what is not known to be harmless is masked."""
_STORE_SECRETS = re.compile(r"key|sas|token")
_VENDOR = re.compile(r"^(aws|azure_storage|azure|google)_")


def resolve_secret(reference: str | None, environ: Mapping[str, str] | None = None) -> str | None:
    """The secret behind `env:NAME` or `file:PATH`, or the text itself; raises UsageError."""
    if reference is None:
        return None
    if reference.startswith("env:"):
        name = reference.removeprefix("env:")
        value = (os.environ if environ is None else environ).get(name)
        if not value:
            raise UsageError(
                f"The environment variable {name} that should hold a key is not set.",
                mend=f"Export {name}, or take the key out of the settings.",
            )
        return value
    if reference.startswith("file:"):
        path = Path(reference.removeprefix("file:"))
        try:
            return path.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError):
            raise UsageError(
                f"The file {path} that should hold a key cannot be read.",
                mend="Check that it exists, holds text, and that this user may read it.",
            ) from None
    return reference


def masked(dumped: dict[str, Any]) -> dict[str, Any]:
    """The dumped settings without any secret; what names one (`env:NAME`, `file:PATH`) stays."""
    shown = {**dumped, "kafka": dict(dumped["kafka"]), "providers": {}}
    shown["kafka"]["client"] = {
        name: _masked_option(name, value) for name, value in dumped["kafka"]["client"].items()
    }
    for name, provider in dumped["providers"].items():
        shown["providers"][name] = {
            **provider,
            "api_key": _masked_key(provider["api_key"]),
            "base_url": masked_url(provider["base_url"]),
        }
    for section in ("store", "simulator", "local_model"):
        shown[section] = {**dumped[section], "url": masked_url(dumped[section]["url"])}
    shown["simulator"]["clouds"] = {
        name: {**cloud, "api_key": _masked_key(cloud["api_key"])}
        for name, cloud in dumped["simulator"]["clouds"].items()
    }
    store = shown["store"]
    store["options"] = _masked_options(store["options"])
    store["inputs"] = [
        {"url": masked_url(given["url"]), "options": _masked_options(given["options"])}
        for given in store["inputs"]
    ]
    return shown


def masked_url(url: str | None) -> str | None:
    """A URL without the user's name, password and query, where people put keys."""
    if not url:
        return url
    try:
        parts = urlsplit(url)
        user, at, host = parts.netloc.rpartition("@")
    except ValueError:
        return MASK
    return urlunsplit(
        parts._replace(
            netloc=f"{MASK}@{host}" if user or at else host,
            query=MASK if parts.query else "",
            fragment=MASK if parts.fragment else "",
        )
    )


def _masked_options(options: dict[str, str]) -> dict[str, str | None]:
    """A store's options: the few that are known to be harmless, and a URL without its secrets."""

    def shown(name: str, value: str) -> str | None:
        if value.startswith(("http://", "https://")):
            return masked_url(value)
        if _STORE_SECRETS.search(name) and not value.startswith(REFERENCES):
            return MASK
        return _masked_option(_VENDOR.sub("", name), value)

    return {name: shown(name.lower(), value) for name, value in options.items()}


def _masked_key(given: str | None) -> str | None:
    return given if given is None or given.startswith(REFERENCES) else MASK


def _masked_option(name: str, value: str) -> str:
    if value.startswith(REFERENCES):
        return value
    if _SECRET_WORDS.search(name):
        return MASK
    harmless = name in _PLAIN_NAMES or _PLAIN_VALUE.fullmatch(value)
    return value if harmless else MASK
