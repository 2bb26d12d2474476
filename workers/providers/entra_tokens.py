"""Tokens of Microsoft Entra, by `DefaultAzureCredential` of the library `azure-identity`.

It tries the environment (`AZURE_CLIENT_ID` ...), workload identity, a managed identity, and what
developers have logged in with.
"""

import logging
from typing import TYPE_CHECKING, Final

from broker.records.errors import UsageError
from workers.providers.token_source import CredentialError, Token

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

SCOPE: Final = "https://cognitiveservices.azure.com/.default"
_ANSWER_S: Final = 10
_MEND: Final = (
    "Set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, give the machine an identity, "
    "or run `az login`."
)


class EntraTokens:
    """Made anywhere; `credential` stands in for the default one."""

    def __init__(self, scope: str | None, credential: "TokenCredential | None" = None) -> None:
        try:
            import azure.identity  # noqa: F401, PLC0415 - an optional extra
        except ImportError:
            raise UsageError(
                'auth = "entra" needs a library that is not installed.',
                mend='Install it: pip install "weighbridge[entra]".',
                code="extra_missing",
            ) from None
        # It warns of every failed try on its own; here a failure is told once.
        logging.getLogger("azure.identity").setLevel(logging.ERROR)
        self._scope = scope or SCOPE
        self._given = credential
        self._credential = credential

    def fetch(self, *, anew: bool) -> Token:
        """Ask for a token; the library keeps one until some minutes before it expires."""
        from azure.core.exceptions import (  # noqa: PLC0415 - an optional extra
            AzureError,
            ServiceRequestError,
        )
        from azure.identity import (  # noqa: PLC0415 - an optional extra
            CredentialUnavailableError,
            DefaultAzureCredential,
        )

        try:
            if self._credential is None or (anew and self._given is None):
                # A new one remembers no token.
                self._credential = DefaultAzureCredential(
                    process_timeout=_ANSWER_S,
                    connection_timeout=_ANSWER_S,
                    read_timeout=_ANSWER_S,
                    retry_total=1,
                )
            token = self._credential.get_token(self._scope)
        except CredentialUnavailableError:
            raise CredentialError("There is no usable credential of Entra.", mend=_MEND) from None
        except ServiceRequestError:
            raise CredentialError("Entra cannot be reached.", mend="Check the network.") from None
        except AzureError:
            raise CredentialError("Entra gave no token.", mend=_MEND) from None
        except (OSError, ValueError):
            self._credential = self._given
            raise CredentialError("The credential of Entra cannot be read.", mend=_MEND) from None
        return Token(token.token, float(token.expires_on))
