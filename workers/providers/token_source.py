"""What a source of access tokens is: who we are to a provider, proven anew where it expires."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from broker.records.errors import WeighbridgeError

QUOTA_PROJECT: Final = "x-goog-user-project"
PUBLIC_HEADERS: Final = frozenset({QUOTA_PROJECT})
"""What may come with a token and is no secret."""


class CredentialError(WeighbridgeError):
    """There is no valid credential for a provider, so that it cannot be called.

    Never quotes a key, a token, or what an identity service said: that may hold either.
    """

    default_code = "no_credential"


@dataclass(frozen=True, slots=True)
class Token:
    """An access token; `expires_at` is unix seconds. `headers` go beside it: `PUBLIC_HEADERS`."""

    value: str = field(repr=False)
    expires_at: float
    headers: Mapping[str, str] = field(default_factory=dict)


class TokenSource(Protocol):
    """Where tokens come from. Asked by one thread at a time, which it may block."""

    def fetch(self, *, anew: bool) -> Token:
        """A token from now on; raises CredentialError.

        `anew`: nothing that is remembered may be used again, as a provider refused it.
        """
