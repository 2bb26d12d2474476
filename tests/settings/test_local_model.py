"""What a local model makes of the other providers."""

from typing import Any

import pytest

from broker.records.errors import UsageError
from broker.settings import load_settings
from broker.settings.local_model import with_local_model

URL = "http://127.0.0.1:8398"
MODELS: dict[str, Any] = {
    "talk": {"default": True},
    "write": {},
    "picture": {"kind": "image"},
}
PROVIDERS: dict[str, Any] = {
    "azure": {"models": {"talk": "a", "picture": "b"}, "api_key": "sk-1"},
    "openai": {"models": {"talk": "c", "write": "d"}},
}


def test_it_alone_serves_chat_and_the_others_keep_the_rest() -> None:
    settings = load_settings(
        models=MODELS, providers=PROVIDERS, local_model={"url": URL, "name": "llama", "slots": 3}
    )
    assert list(settings.providers) == ["local", "azure"]
    local = settings.provider("local")
    assert (local.base_url, local.auth, local.max_in_flight) == (f"{URL}/v1", "none", 3)
    assert {alias: model.name for alias, model in local.models.items()} == {
        "talk": "llama",
        "write": "llama",
    }
    assert list(settings.provider("azure").models) == ["picture"]
    assert settings.catalog().providers["talk"] == ("local",)
    assert not settings.is_simulated("local")


def test_without_an_address_nothing_changes_and_a_second_time_nothing_more() -> None:
    settings = load_settings(models=MODELS, providers=PROVIDERS)
    assert list(settings.providers) == ["azure", "openai"]
    once = with_local_model(settings, url=URL, name="llama")
    assert with_local_model(once) == once


def test_a_provider_of_that_name_or_no_chat_model_is_refused() -> None:
    given = {"local": PROVIDERS["openai"]}
    with pytest.raises(UsageError, match="already"):
        load_settings(models=MODELS, providers=given, local_model={"url": URL})
    picture = {"picture": MODELS["picture"]}
    with pytest.raises(UsageError, match="no chat model"):
        load_settings(models=picture, providers={}, local_model={"url": URL})
