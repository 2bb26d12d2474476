"""Google's own library against an identity service on this machine."""

import base64
import json
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from broker.records.errors import UsageError
from broker.settings.providers import ProviderSettings
from broker.telemetry.logs import configure_logs
from tests.credentials.failing import keeps_the_old_one
from tests.credentials.token_server import (
    MARKER,
    SECRET,
    TokenServer,
    service_account_in,
    token_server,
)
from tests.workers.building import on_loop
from workers.credential_tokens import RefreshedToken
from workers.providers.google_tokens import SCOPE, GoogleTokens
from workers.providers.token_source import CredentialError
from workers.providers.token_sources import SOURCES


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TokenServer]:
    """One that the application default credentials lead to."""
    with token_server() as told:
        file = service_account_in(tmp_path, f"{told.url}/token")
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
        yield told


def test_a_service_account_gets_a_token_of_the_usual_scope(server: TokenServer) -> None:
    async def main() -> None:
        credential = RefreshedToken(GoogleTokens(None), "google")
        assert await credential.headers() == {"Authorization": f"Bearer {MARKER}-1"}
        assert await credential.headers() == {"Authorization": f"Bearer {MARKER}-1"}
        await credential.close()

    on_loop(main())
    (asked,) = server.asked
    assert asked["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    assert SCOPE in _claims(asked["assertion"][0])["scope"]


def test_a_service_that_fails_leaves_the_old_token_in_use_while_it_lives(
    server: TokenServer,
) -> None:
    on_loop(keeps_the_old_one(GoogleTokens(None), server))


def _claims(assertion: str) -> dict[str, str]:
    part = assertion.split(".")[1]
    claims: dict[str, str] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return claims


def test_its_requests_are_in_no_log(
    server: TokenServer, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs("debug", "json")
    GoogleTokens(None).fetch(anew=False)
    told = capsys.readouterr().err
    assert MARKER not in told
    assert server.asked[0]["assertion"][0] not in told
    assert "/token" not in told


def test_a_token_lives_as_long_as_its_service_says(server: TokenServer) -> None:
    server.lifetime_s = 1_800
    token = GoogleTokens("https://example.org/scope").fetch(anew=False)
    assert token.value == f"{MARKER}-1"
    assert 1_700 < token.expires_at - time.time() <= 1_801
    assert MARKER not in repr(token)


def test_a_service_that_says_no_is_told_without_its_words(server: TokenServer) -> None:
    server.status = 400
    with pytest.raises(CredentialError) as told:
        GoogleTokens(None).fetch(anew=False)
    assert told.value.code == "no_credential"
    assert SECRET not in f"{told.value} {told.value.__cause__}"
    assert told.value.__suppress_context__


def test_a_key_file_that_was_replaced_is_read_after_a_refusal(
    server: TokenServer, tmp_path: Path
) -> None:
    source = GoogleTokens(None)
    source.fetch(anew=False)
    service_account_in(tmp_path, f"{server.url}/elsewhere")
    source.fetch(anew=True)
    assert [asked["path"] for asked in server.asked] == [["/token"], ["/elsewhere"]]


def test_a_quota_project_goes_beside_the_token(
    server: TokenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def headers(source: GoogleTokens) -> Mapping[str, str]:
        credential = RefreshedToken(source, "google")
        try:
            return await credential.headers()
        finally:
            await credential.close()

    assert set(on_loop(headers(GoogleTokens(None)))) == {"Authorization"}
    monkeypatch.setenv("GOOGLE_CLOUD_QUOTA_PROJECT", "from-environment")
    told = on_loop(headers(GoogleTokens(None)))
    assert told == {
        "Authorization": f"Bearer {server.token}",
        "x-goog-user-project": "from-environment",
    }
    # The settings' own comes first.
    given = ProviderSettings(auth="google", quota_project="from-settings")
    source = SOURCES["google"](given)
    assert source.fetch(anew=False).headers == {"x-goog-user-project": "from-settings"}
    assert source.fetch(anew=True).headers == {"x-goog-user-project": "from-settings"}


@pytest.mark.parametrize("project", ["a\r\nx-other: 1", "\u00fcber"])
def test_a_quota_project_cannot_bring_headers_of_its_own(server: TokenServer, project: str) -> None:
    with pytest.raises(CredentialError, match="quota project"):
        GoogleTokens(None, project).fetch(anew=False)
    assert server.asked


@pytest.mark.parametrize("text", ["", "{", "{}", '{"type": "service_account"}'])
def test_credentials_that_are_none_are_told_not_quoted(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "broken.json"
    file.write_text(text)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    with pytest.raises(CredentialError, match="credentials"):
        GoogleTokens(None).fetch(anew=False)


def test_nobody_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = service_account_in(tmp_path, "http://127.0.0.1:9/token")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    with pytest.raises(CredentialError, match="reached"):
        GoogleTokens(None).fetch(anew=False)


def test_without_its_library_the_line_to_install_it_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "google.auth", None)
    with pytest.raises(UsageError, match=r"pip install \"weighbridge\[google\]\""):
        GoogleTokens(None)
