"""What proves to a provider who we are: headers, made anew where they expire."""

from collections.abc import Mapping
from typing import Protocol

from broker.records.errors import WeighbridgeError
from broker.settings.providers import ProviderSettings
from broker.settings.secrets import resolve_secret
from workers.providers.dialect import Adapter


class CredentialError(WeighbridgeError):
    """There is no valid credential for a provider, so that it cannot be called."""

    default_code = "no_credential"


class Credential(Protocol):
    """Asked before each call. Used on the event loop."""

    async def headers(self) -> Mapping[str, str]:
        """The headers that carry it; raises CredentialError when there is none that is valid."""

    async def close(self) -> None:
        """Refresh nothing more."""


class Key:
    """A plain API key, or none."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers

    async def headers(self) -> Mapping[str, str]:
        """Always the same."""
        return self._headers

    async def close(self) -> None:
        """Nothing is open."""


def credential_for(provider: ProviderSettings, adapter: Adapter) -> Credential:
    """What the settings say; raises UsageError where a key is not where it should be."""
    key = resolve_secret(provider.api_key)
    return Key({} if key is None else dict([adapter.key_header(key)]))
