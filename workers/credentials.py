"""What proves to a provider who we are: headers, made anew where they expire or change."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Final, Protocol

from broker.records.errors import UsageError
from broker.settings.providers import ProviderSettings
from broker.settings.secrets import MASK, resolve_secret
from workers.credential_file import KeyFile, UnusableKeyError, usable_key
from workers.credential_tokens import RefreshedToken
from workers.providers.dialect import Adapter, ErrorReply
from workers.providers.token_source import PUBLIC_HEADERS, CredentialError
from workers.providers.token_sources import SOURCES

__all__ = ["Credential", "CredentialError", "Key", "credential_for", "without_key"]

_FILE: Final = "file:"
_BEARER: Final = "Bearer "


class Credential(Protocol):
    """Asked before each call. Used on the event loop, which it never blocks."""

    async def headers(self) -> Mapping[str, str]:
        """The headers that carry it; raises CredentialError when there is none that is valid."""

    def rejected(self) -> None:
        """The provider answered 401: what is in use may have been replaced."""

    async def close(self) -> None:
        """Refresh nothing more."""


class Key:
    """A plain API key, or none."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers

    async def headers(self) -> Mapping[str, str]:
        """Always the same."""
        return self._headers

    def rejected(self) -> None:
        """There is no other."""

    async def close(self) -> None:
        """Nothing is open."""


def credential_for(
    provider: ProviderSettings,
    adapter: Adapter,
    name: str = "",
    failed: Callable[[], None] | None = None,
) -> Credential:
    """What the settings say; inside the event loop. `failed` is told when no new token came.

    Raises UsageError where a key is not where it should be, or a library is missing.
    """
    if provider.auth == "none":
        return Key({})
    if provider.auth != "key":
        return RefreshedToken(SOURCES[provider.auth](provider), name, failed)
    given = resolve_secret(provider.api_key)
    if provider.api_key is None or given is None:
        return Key({})
    try:
        if provider.api_key.startswith(_FILE):
            path = Path(provider.api_key.removeprefix(_FILE))
            return KeyFile(path, adapter.key_header, name)
        return Key(dict([adapter.key_header(usable_key(given))]))
    except (OSError, UnusableKeyError):
        raise UsageError(
            f"What should be the key of the provider {name!r} is none: it is empty, or has signs "
            "that no header may have.",
            mend=f"Look at providers.{name}.api_key and at what it refers to.",
            code="unusable_key",
        ) from None


def without_key(error: ErrorReply, credential: Mapping[str, str]) -> str:
    """The provider's sentence for the sender of the prompt, to whom our key is a secret.

    Providers quote keys they do not know, whole or in part; such a sentence is left out.
    """
    if error.status == HTTPStatus.UNAUTHORIZED:
        return "The provider did not accept the key or token of this broker."
    text = error.message
    for name, value in credential.items():
        if name not in PUBLIC_HEADERS:
            text = text.replace(value.removeprefix(_BEARER), MASK)
    return text
