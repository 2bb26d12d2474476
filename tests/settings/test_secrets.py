"""Secrets: read from where the settings say, and never shown by anything that shows settings."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.records.errors import UsageError
from broker.settings import Settings, load_settings
from broker.settings.loading import resolve_secret
from broker.settings.problems import InvalidSettingsError
from broker.settings.secrets import MASK, masked_url

SECRETS = st.text("ABCDEFGHJKLMNPQRSTUVWXYZ23456789", min_size=12, max_size=40).map("sk".__add__)
CLIENT_SECRETS = [
    *("sasl.password", "ssl.key.password", "ssl.keystore.password", "ssl.key.pem"),
    *("sasl.oauthbearer.config", "sasl.oauthbearer.client.secret", "ssl_key"),
    "sasl.oauthbearer.assertion.private.key.passphrase",
    *("sasl.oauthbearer.assertion.private.key.pem", "plugin.of.tomorrow.credential"),
    "a.name.that.nobody.knows.yet",
]


def test_a_key_comes_from_a_variable_a_file_or_the_settings(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from-file\n")
    assert resolve_secret("env:NAME", {"NAME": "from-env"}) == "from-env"
    assert resolve_secret(f"file:{tmp_path / 'key'}") == "from-file"
    assert resolve_secret("plain") == "plain"
    assert resolve_secret(None) is None


@pytest.mark.parametrize("reference", ["env:NOT_SET", "env:EMPTY", "file:/no/such/file", "file:/"])
def test_a_key_that_cannot_be_read_says_which_and_what_to_do(reference: str) -> None:
    with pytest.raises(UsageError) as told:
        resolve_secret(reference, {"EMPTY": ""})
    assert reference.split(":")[1] in told.value.message
    assert told.value.mend


def test_a_key_file_that_is_no_text_is_not_quoted(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"\xff\xfesecret")
    with pytest.raises(UsageError, match="cannot be read") as told:
        resolve_secret(f"file:{tmp_path / 'key'}")
    assert "secret" not in str(told.value)


def with_secret(secret: str, option: str) -> Settings:
    return load_settings(
        kafka={"client": {option: secret, "security.protocol": "SASL_SSL"}},
        providers={
            "azure": {
                "base_url": f"https://user:{secret}@example.org/v1?key={secret}#{secret}",
                "api_key": secret,
                "models": {"chat-small": "mine"},
            }
        },
        simulator={"clouds": {"azure": {"api_key": secret}}},
        store={
            "url": f"s3://bucket/path?secret_access_key={secret}",
            "options": {
                "aws_secret_access_key": secret,
                "access_key_id": secret,
                "endpoint": f"https://me:{secret}@minio.example.org:9000",
            },
            "inputs": [{"url": f"az://x?sig={secret}", "options": {"sas_key": secret}}],
        },
    )


@given(secret=SECRETS, option=st.sampled_from(CLIENT_SECRETS))
def test_no_secret_is_in_anything_that_shows_settings(secret: str, option: str) -> None:
    settings = with_secret(secret, option)
    masked = settings.masked()
    for shown in (repr(masked), json.dumps(masked), repr(settings), str(settings)):
        assert secret not in shown
    assert masked["kafka"]["client"]["security.protocol"] == "SASL_SSL"
    assert masked["kafka"]["client"][option] == MASK
    assert masked["providers"]["azure"]["base_url"].startswith(f"https://{MASK}@example.org/v1?")


@given(secret=SECRETS)
def test_no_secret_is_in_the_message_of_a_mistake(secret: str) -> None:
    wrong = {
        "base_url": secret,
        "max_in_flight": secret,
        "api_key": [secret],
        "models": secret,
    }
    with pytest.raises(InvalidSettingsError) as told:
        load_settings(providers={"azure": wrong}, kafka={"client": secret, "prefix": f"{secret} "})
    shown = f"{told.value} {told.value.problems} {told.value.__cause__}"
    assert secret not in shown
    assert len(told.value.problems) == 6


def test_what_names_a_secret_is_shown_and_the_settings_are_not_changed() -> None:
    settings = load_settings(
        kafka={"client": {"sasl.password": "env:PASSWORD", "sasl.username": "me"}},
        providers={"azure": {"base_url": "https://example.org", "api_key": "file:/run/key"}},
    )
    masked = settings.masked()
    assert masked["kafka"]["client"] == {"sasl.password": "env:PASSWORD", "sasl.username": "me"}
    assert masked["providers"]["azure"]["api_key"] == "file:/run/key"
    assert masked["providers"]["azure"]["base_url"] == "https://example.org"
    masked["kafka"]["client"]["sasl.username"] = "other"
    assert settings.kafka.client["sasl.username"] == "me"


def test_a_stores_plain_options_are_shown_and_its_keys_are_not_even_as_numbers() -> None:
    options = {"region": "eu-1", "allow_http": "true", "access_key_id": "env:ID", "sas_key": "12"}
    shown = load_settings(store={"inputs": [{"url": "s3://b", "options": options}]}).masked()
    assert shown["store"]["inputs"][0]["options"] == {**options, "sas_key": MASK}


@pytest.mark.parametrize("number", ["12345678", "-1", "true"])
def test_a_number_is_shown_unless_its_name_says_secret(number: str) -> None:
    settings = load_settings(
        kafka={"client": {"socket.timeout.ms": number, "sasl.password": number}}
    )
    client = settings.masked()["kafka"]["client"]
    assert client == {"socket.timeout.ms": number, "sasl.password": MASK}


@pytest.mark.parametrize("url", [None, "", "https://example.org/a", "http://127.0.0.1:8399"])
def test_a_url_without_a_secret_is_left_as_it_is(url: str | None) -> None:
    assert masked_url(url) == url


def test_a_url_that_is_none_is_masked_whole() -> None:
    assert masked_url("https://[secret") == MASK
