"""Tokens of Google's application default credentials, by the library `google-auth`.

They come from a file (`GOOGLE_APPLICATION_CREDENTIALS`, or what `gcloud auth application-default
login` wrote), from workload identity federation, or from the metadata server of Google's machines.

Credentials may name a quota project, which is counted and billed instead of their own: it goes in
a header beside the token, as `google.auth.credentials.Credentials.apply` and `google-genai` do it.
It is the settings', else what `GOOGLE_CLOUD_QUOTA_PROJECT` says, else what stands in the file.
"""

from datetime import UTC
from functools import partial
from typing import TYPE_CHECKING, Final

from broker.records.errors import UsageError
from workers.providers.token_source import QUOTA_PROJECT, CredentialError, Token

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
_ANSWER_S: Final = 10.0
_MEND: Final = (
    "Run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS to a key "
    "file that exists and is valid."
)


class GoogleTokens:
    """Made anywhere; the credentials are looked for at the first token."""

    def __init__(self, scope: str | None, quota_project: str | None = None) -> None:
        try:
            import google.auth  # noqa: PLC0415 - an optional extra
            import google.auth.transport.requests  # noqa: F401, PLC0415 - an optional extra
        except ImportError:
            raise UsageError(
                'auth = "google" needs a library that is not installed.',
                mend='Install it: pip install "weighbridge[google]".',
                code="extra_missing",
            ) from None
        self._scope = scope or SCOPE
        self._quota_project = quota_project
        self._credentials: Credentials | None = None

    def fetch(self, *, anew: bool) -> Token:
        """Read the credentials if need be, and ask for a token."""
        import google.auth  # noqa: PLC0415 - an optional extra
        from google.auth import exceptions  # noqa: PLC0415 - an optional extra
        from google.auth.transport.requests import Request  # noqa: PLC0415 - an optional extra

        try:
            if anew or self._credentials is None:
                # Also what they are made of may have changed: a rotated key file.
                self._credentials, _ = google.auth.default(
                    scopes=[self._scope], quota_project_id=self._quota_project
                )
            credentials = self._credentials
            credentials.refresh(partial(Request(), timeout=_ANSWER_S))  # type: ignore[no-untyped-call]  # theirs
        except exceptions.DefaultCredentialsError:
            raise CredentialError(
                "There are no usable application default credentials.", mend=_MEND
            ) from None
        except exceptions.TransportError:
            raise CredentialError(
                "The token service cannot be reached.", mend="Check the network."
            ) from None
        except exceptions.GoogleAuthError as error:
            self._credentials = None
            raise CredentialError(
                f"The token service gave no token ({type(error).__name__}).", mend=_MEND
            ) from None
        except (OSError, ValueError):
            self._credentials = None
            raise CredentialError(
                "The application default credentials cannot be read.", mend=_MEND
            ) from None
        value, expiry = credentials.token, credentials.expiry
        if not isinstance(value, str) or not value or expiry is None:
            raise CredentialError("The token service gave no token.", mend=_MEND)
        billed = credentials.quota_project_id
        return Token(value, expiry.replace(tzinfo=UTC).timestamp(), _billed_to(billed))


def _billed_to(project: str | None) -> dict[str, str]:
    if not project:
        return {}
    if not project.isascii() or not project.isprintable():
        raise CredentialError("The quota project is no project's name.", mend=_MEND)
    return {QUOTA_PROJECT: project}
