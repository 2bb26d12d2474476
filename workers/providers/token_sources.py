"""Sources of tokens by the name that `auth` uses in the settings."""

from collections.abc import Callable, Mapping
from typing import Final

from workers.providers.entra_tokens import EntraTokens
from workers.providers.google_tokens import GoogleTokens
from workers.providers.token_source import TokenSource

SOURCES: Final[Mapping[str, Callable[[str | None], TokenSource]]] = {
    "google": GoogleTokens,
    "entra": EntraTokens,
}
"""Each takes the scope, None for the usual one; raises UsageError where its library is missing."""
