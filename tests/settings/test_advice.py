"""Doubts about valid settings: each has a place, and good settings have none."""

from typing import Any

import pytest

from broker.settings import load_settings
from broker.settings.advice import advice_on
from broker.settings.origins import Origins

REAL = {
    "base_url": "https://example.org/v1",
    "api_key": "env:KEY",
    "models": {"chat-small": "small", "chat-large": "large"},
    "billing": "hourly",
}
BY_TOKENS = {**REAL, "billing": "tokens", "models": {"chat-small": "small"}}
PRICED = {"name": "small", "usd_per_million_input": 1.0, "usd_per_million_output": 2.0}
SOUND: dict[str, Any] = {"providers": {"azure": REAL}}


def advice(environ: dict[str, str] | None = None, **given: Any) -> dict[str, str]:
    settings = load_settings(**{**SOUND, **given})
    found = advice_on(settings, Origins(None, {}), environ or {"KEY": "x"})
    assert all(problem.mend for problem in found)
    return {problem.place: problem.text for problem in found}


def test_sound_settings_raise_no_doubt() -> None:
    assert advice() == {}


@pytest.mark.parametrize(
    ("given", "place", "words"),
    [
        ({"providers": {"azure": {**REAL, "base_url": None}}}, "base_url", "simulator"),
        ({"providers": {"azure": {**REAL, "api_key": None}}}, "api_key", "without a key"),
        ({"providers": {"azure": {**REAL, "api_key": "sk-1"}}}, "api_key", "itself stands here"),
        ({"providers": {"azure": {**REAL, "api_key": "env:NOPE"}}}, "api_key", "NOPE"),
        ({"providers": {"azure": REAL, "b": {**REAL, "models": {}}}}, "b.models", "no model"),
        ({"providers": {"azure": {**REAL, "total_s": 1}}}, "total_s", "first_byte_s"),
        ({"providers": {"azure": {**REAL, "auth": "entra"}}}, "api_key", "not used"),
        ({"providers": {"azure": BY_TOKENS}}, "models.chat-small", "costs is not known"),
        ({"kafka": {"client": {"sasl.password": "env:NOPE"}}}, "sasl.password", "NOPE"),
        ({"kafka": {"client": {"acks": "0"}}}, "client.acks", "wins"),
        ({"store": {"options": {"access_key_id": "env:NOPE"}}}, "access_key_id", "NOPE"),
        (
            {"store": {"inputs": [{"url": "s3://b", "options": {"k": "env:NOPE"}}]}},
            "store.inputs.0.options.k",
            "NOPE",
        ),
        ({"lanes": {"reserved_light": 0}}, "reserved_light", "behind heavy"),
        ({"lanes": {"light_max": 6000}}, "heavy_min", "hardly"),
        ({"routing": {"max_moves": 0}}, "max_moves", "never moved"),
        ({"routing": {"models": {"chat-small": {"providers": []}}}}, "chat-small", "may answer"),
        ({"worker": {"journal_before_call": False}}, "journal_before_call", "missing"),
    ],
)
def test_a_doubt_has_its_place_and_its_reason(
    given: dict[str, Any], place: str, words: str
) -> None:
    (found,) = advice(**given).items()
    assert found[0].endswith(place)
    assert words in found[1]


@pytest.mark.parametrize(
    "served",
    [PRICED, {"name": "mine", "priced_as": "openai/gpt-5-mini"}],
)
def test_a_model_whose_price_is_known_raises_no_doubt(served: dict[str, Any]) -> None:
    real = {**BY_TOKENS, "models": {"chat-small": served}}
    assert advice(providers={"azure": real}) == {}


@pytest.mark.parametrize("auth", ["google", "entra", "none"])
def test_who_signs_in_otherwise_needs_no_key(auth: str) -> None:
    assert advice(providers={"azure": {**REAL, "auth": auth, "api_key": None}}) == {}


def test_models_that_nobody_serves_and_kinds_without_default() -> None:
    models = {
        "chat-small": {"default": True},
        "chat-large": {"default": True},
        "picture": {"kind": "image"},
    }
    found = advice(models=models)
    assert found["models.picture"] == "no provider serves it"
    assert "already the default" in found["models.chat-large.default"]
    assert "image" in found["models"]


def test_no_provider_at_all() -> None:
    found = advice(providers={})
    assert found["providers"] == "there is none"
