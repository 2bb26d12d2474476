"""Microsoft's own library, over TLS as it insists, against an identity service on this machine.

The tenant is `adfs`: for any other one at an address it does not know, the library first asks
Microsoft's servers in the internet.
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.records.errors import UsageError
from broker.telemetry.logs import configure_logs
from tests.credentials.failing import keeps_the_old_one
from tests.credentials.token_server import (
    MARKER,
    SECRET,
    TokenServer,
    certificate_in,
    token_server,
)
from tests.workers.building import on_loop
from workers.credential_tokens import RefreshedToken
from workers.providers.entra_tokens import SCOPE, EntraTokens
from workers.providers.token_source import CredentialError


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificate_in(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def server(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TokenServer]:
    """One that the default credential finds through its environment."""
    with token_server(certificate) as told:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        monkeypatch.setenv("AZURE_AUTHORITY_HOST", told.url)
        monkeypatch.setenv("AZURE_TENANT_ID", "adfs")
        monkeypatch.setenv("AZURE_CLIENT_ID", "weighbridge")
        monkeypatch.setenv("AZURE_CLIENT_SECRET", SECRET)
        yield told


def test_a_client_secret_gets_a_token_of_the_usual_scope(server: TokenServer) -> None:
    async def main() -> None:
        credential = RefreshedToken(EntraTokens(None), "azure")
        assert await credential.headers() == {"Authorization": f"Bearer {MARKER}-1"}
        await credential.close()

    on_loop(main())
    assert server.asked[0]["scope"][0].startswith(SCOPE)


def test_a_service_that_fails_leaves_the_old_token_in_use_while_it_lives(
    server: TokenServer,
) -> None:
    on_loop(keeps_the_old_one(EntraTokens(None), server, remembers_refusals=True))


def test_its_requests_are_in_no_log(
    server: TokenServer, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs("debug", "json")
    EntraTokens(None).fetch(anew=False)
    told = capsys.readouterr().err
    assert len(server.asked) == 1
    assert not [secret for secret in (MARKER, SECRET, "oauth2") if secret in told]


def test_a_token_lives_as_long_as_its_service_says(server: TokenServer) -> None:
    server.lifetime_s = 1_800
    token = EntraTokens("https://example.org/.default").fetch(anew=False)
    assert 1_700 < token.expires_at - time.time() <= 1_801


def test_a_token_that_a_provider_refused_is_not_remembered(server: TokenServer) -> None:
    source = EntraTokens(None)
    tokens = [source.fetch(anew=anew).value for anew in (False, False, True)]
    assert tokens == [f"{MARKER}-1", f"{MARKER}-1", f"{MARKER}-2"]
    assert len(server.asked) == 2


def test_a_service_that_says_no_is_told_without_its_words(server: TokenServer) -> None:
    server.status = 401
    with pytest.raises(CredentialError) as told:
        EntraTokens(None).fetch(anew=False)
    assert told.value.code == "no_credential"
    assert SECRET not in f"{told.value} {told.value.__cause__}"
    assert told.value.__suppress_context__


def test_without_its_library_the_line_to_install_it_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "azure.identity", None)
    with pytest.raises(UsageError, match=r"pip install \"weighbridge\[entra\]\""):
        EntraTokens(None)
