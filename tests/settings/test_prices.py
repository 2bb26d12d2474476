"""Prices: whose table goes first, whom a list price is believed of, and what stays unknown."""

import json
from pathlib import Path
from typing import Any

import pytest

from broker.core.prices import FREE, UNKNOWN, Prices
from broker.records.errors import UsageError
from broker.settings import load_settings
from broker.settings.price_table import SHIPPED, read_prices, shipped_prices
from broker.settings.prices import Priced, priced_models, prices_of

ALIAS = "chat-small"
MINI = Prices(0.25, 2.0, 0.025)


def priced(
    served: object, *, provider: str = "cloud", file: Path | None = None, **given: Any
) -> Priced:
    """The prices of one model at one provider."""
    settings = load_settings(
        providers={provider: {"models": {ALIAS: served}, **given}}, prices={"file": file}
    )
    return priced_models(settings, provider)[ALIAS]


class TestTheShippedTable:
    def test_every_row_tells_its_source_and_its_day(self) -> None:
        for name, section in shipped_prices().sections.items():
            assert section.source.startswith("https://"), name
            assert section.date is not None, name
            assert section.hosts, name

    def test_it_says_that_prices_change(self) -> None:
        assert "Prices change" in SHIPPED.read_text("utf-8")

    def test_the_default_settings_have_known_prices(self) -> None:
        settings = load_settings()
        for provider in settings.providers:
            for alias, found in priced_models(settings, provider).items():
                assert found.is_known(settings.models[alias].kind), f"{provider} {alias}"
                assert found.source

    @pytest.mark.parametrize("kind", ["image", "embedding"])
    def test_pictures_and_embeddings_are_priced(self, kind: str) -> None:
        names = {
            "image": (("openai", "gpt-image-1"), ("google", "gemini-2.5-flash-image")),
            "embedding": (
                ("openai", "text-embedding-3-small"),
                ("azure", "text-embedding-3-large"),
                ("google", "gemini-embedding-001"),
            ),
        }
        for provider, name in names[kind]:
            assert priced(name, provider=provider).is_known(kind)


class TestWhomAListPriceIsBelievedOf:
    def test_a_stand_in_costs_what_its_cloud_does(self) -> None:
        assert priced("gpt-5-mini", dialect="azure").prices == MINI
        assert priced("gpt-oss-20b", provider="coreweave").prices == Prices(0.05, 0.2)

    @pytest.mark.parametrize(
        ("dialect", "url", "model"),
        [
            ("openai", "https://api.openai.com/v1", "gpt-5-mini"),
            ("openai", "https://eu.api.openai.com/v1", "gpt-5-mini-2025-08-07"),
            ("azure", "https://mine.openai.azure.com", "gpt-5-mini"),
            ("gemini", "https://us-central1-aiplatform.googleapis.com", "gemini-3-flash"),
            ("vllm", "https://api.inference.wandb.ai/v1", "openai/gpt-oss-120b"),
        ],
    )
    def test_the_real_one_at_its_own_address(self, dialect: str, url: str, model: str) -> None:
        assert priced(model, dialect=dialect, base_url=url).prices != UNKNOWN

    @pytest.mark.parametrize("provider", ["cloud", "openai"])
    @pytest.mark.parametrize("dialect", ["openai", "vllm"])
    def test_a_server_of_ones_own_is_not_billed_as_the_vendor(
        self, provider: str, dialect: str
    ) -> None:
        for name in ("gpt-5-mini", "gpt-oss-20b"):
            found = priced(
                name, provider=provider, dialect=dialect, base_url="http://10.0.0.1:8000/v1"
            )
            assert found == Priced(UNKNOWN)

    def test_a_deployment_has_a_price_by_the_name_of_its_model(self) -> None:
        url: dict[str, Any] = {"dialect": "azure", "base_url": "https://mine.openai.azure.com"}
        assert priced("my-deployment", **url) == Priced(UNKNOWN)
        assert priced({"name": "my-deployment", "priced_as": "gpt-5-mini"}, **url).prices == MINI

    def test_behind_a_proxy_the_section_is_named_too(self) -> None:
        proxy: dict[str, Any] = {"base_url": "https://proxy.example.org/v1"}
        assert priced({"name": "x", "priced_as": "gpt-5-mini"}, **proxy) == Priced(UNKNOWN)
        assert priced({"name": "x", "priced_as": "openai/gpt-5-mini"}, **proxy).prices == MINI


class TestWhatGoesFirst:
    def test_capacity_by_the_hour_costs_nothing_more(self) -> None:
        assert priced("gpt-5-mini", dialect="openai", billing="hourly").prices == FREE

    def test_the_settings_before_all(self) -> None:
        found = priced({"name": "gpt-5-mini", "usd_per_million_output": 9.0})
        assert found.prices == Prices(0.25, 9.0, 0.025)
        assert found.source.startswith("the settings, else https://")

    def test_a_price_of_input_takes_the_list_price_of_cached_input_with_it(self) -> None:
        served = {"name": "gemini-3-pro", "usd_per_million_input": 0.1}
        found = priced(served, dialect="gemini")
        assert found.prices == Prices(0.1, 12.0, 0.1)

    def test_a_file_of_ones_own_before_the_shipped_table(self, tmp_path: Path) -> None:
        own = tmp_path / "prices.toml"
        own.write_text('[cloud.models."gpt-5-mini"]\ninput = 1\noutput = 3\ndate = 2026-11-01\n')
        found = priced("gpt-5-mini", file=own)
        assert found == Priced(Prices(1.0, 3.0), f"{own}, 2026-11-01")
        assert priced("gpt-5", file=own).prices.input == 1.25
        proxy = priced("gpt-5-mini", file=own, base_url="https://proxy.example.org")
        assert proxy.prices == Prices(1.0, 3.0)


class TestLiteLlmsForm:
    @pytest.fixture
    def own(self, tmp_path: Path) -> Path:
        file = tmp_path / "model_prices.json"
        rows = {
            "sample_spec": {"litellm_provider": "one of them", "input_cost_per_token": "text"},
            "gpt-6": {
                "litellm_provider": "openai",
                "input_cost_per_token": 2.5e-06,
                "output_cost_per_token": 1.5e-05,
                "cache_read_input_token_cost": 2.5e-07,
                "input_cost_per_token_above_200k_tokens": 5e-06,
                "source": "https://example.org/list",
            },
            "gpt-image-9": {
                "litellm_provider": "openai",
                "mode": "image_generation",
                "input_cost_per_token": 5e-06,
                "output_cost_per_image_token": 4e-05,
            },
            "vertex_ai/gemini-9": {
                "litellm_provider": "vertex_ai-language-models",
                "input_cost_per_token": 1e-06,
                "output_cost_per_token": 2e-06,
            },
            "wandb/openai/gpt-oss-120b": {
                "litellm_provider": "wandb",
                "input_cost_per_token": 0.015,
                "output_cost_per_token": 0.06,
            },
            "claude": {"litellm_provider": "anthropic", "input_cost_per_token": 1e-06},
        }
        file.write_text(json.dumps(rows))
        return file

    def test_its_rows_are_ours(self, own: Path) -> None:
        found = priced("gpt-6", file=own)
        assert found.prices == Prices(
            2.5, 15.0, 0.25, long_above=200_000, long=Prices(5.0, 15.0, 0.25)
        )
        assert found.source == "https://example.org/list"
        assert priced("gpt-image-9", file=own).prices == Prices(5.0, 40.0)
        assert priced("gemini-9", file=own, dialect="gemini").prices == Prices(1.0, 2.0)

    def test_a_row_in_another_unit_is_not_believed(self, own: Path) -> None:
        found = priced("openai/gpt-oss-120b", file=own, dialect="vllm")
        assert found.prices == Prices(0.15, 0.6)


class TestWrongFiles:
    @pytest.mark.parametrize(
        ("name", "text", "words"),
        [
            ("a.toml", "[x", "not TOML"),
            ("a.json", "{", "not JSON"),
            ("a.json", "[]", "no object|not an object"),
            ("a.toml", '[x.models."m"]\nimput = 1\n', r"x\.models\.m\.imput"),
            ("a.toml", '[x.models."m"]\ninput = -1\n', r"x\.models\.m\.input"),
            ("a.toml", '[x]\nlike = "y"\n', "like"),
            ("a.toml", '[x.models."m"]\nlong_above = 5\n', "long"),
        ],
    )
    def test_each_says_what_is_wrong(
        self, tmp_path: Path, name: str, text: str, words: str
    ) -> None:
        file = tmp_path / name
        file.write_text(text)
        with pytest.raises(UsageError, match=words) as told:
            read_prices(file)
        assert str(file) in told.value.message
        assert told.value.mend

    def test_one_that_is_not_there_stops_a_worker_at_its_start(self, tmp_path: Path) -> None:
        settings = load_settings(prices={"file": tmp_path / "none.toml"})
        with pytest.raises(UsageError, match=r"none\.toml"):
            prices_of(settings, "openai")
