"""Sources of tokens by the name that `auth` uses in the settings."""

from collections.abc import Callable, Mapping
from typing import Final

from broker.settings.providers import ProviderSettings
from workers.providers.entra_tokens import EntraTokens
from workers.providers.google_tokens import GoogleTokens
from workers.providers.token_source import TokenSource

SOURCES: Final[Mapping[str, Callable[[ProviderSettings], TokenSource]]] = {
    "google": lambda given: GoogleTokens(given.auth_scope, given.quota_project),
    "entra": lambda given: EntraTokens(given.auth_scope),
}
"""Each raises UsageError where its library is missing."""
