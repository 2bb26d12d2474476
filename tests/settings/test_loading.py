"""Settings from the file and the environment: which wins, and what is refused, with its place."""

import os
from pathlib import Path
from typing import Any

import pytest

from broker.records.errors import UsageError
from broker.settings import Settings, load_settings
from broker.settings.origins import Origins
from broker.settings.problems import InvalidSettingsError, Problem

FULL = """
[kafka]
bootstrap = "broker:9092"
client = { "security.protocol" = "SSL" }

[models.chat-small]
kind = "chat"
default = true

[models.picture]
kind = "image"

[providers.azure]
base_url = "https://example.openai.azure.com"
api_key = "env:AZURE_OPENAI_API_KEY"
models = { chat-small = "my-deployment", picture = "dall-e" }
max_in_flight = 256

[providers.google]
models = { chat-small = "gemini" }
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "weighbridge.toml"


def refused(**given: Any) -> tuple[Problem, ...]:
    with pytest.raises(InvalidSettingsError) as told:
        load_settings(**given)
    assert (told.value.exit_code, told.value.code) == (2, "invalid_settings")
    return told.value.problems


def test_nothing_given_is_four_simulated_providers_on_the_embedded_broker(file: Path) -> None:
    assert not file.exists()
    settings = load_settings()
    assert settings.kafka.bootstrap == "embedded"
    assert list(settings.providers) == ["openai", "azure", "google", "coreweave"]
    assert all(settings.is_simulated(name) for name in settings.providers)


def test_the_environment_wins_over_the_file_and_arguments_over_both(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text(FULL)
    assert load_settings().kafka.bootstrap == "broker:9092"
    monkeypatch.setenv("WEIGHBRIDGE_KAFKA__BOOTSTRAP", "env:1")
    monkeypatch.setenv("WEIGHBRIDGE_PROVIDERS__AZURE__MAX_IN_FLIGHT", "7")
    settings = load_settings()
    assert settings.kafka.bootstrap == "env:1"
    assert settings.kafka.client == {"security.protocol": "SSL"}
    assert settings.provider("azure").max_in_flight == 7
    assert settings.provider("azure").models["chat-small"].name == "my-deployment"
    assert load_settings(kafka={"bootstrap": "told:1"}).kafka.bootstrap == "told:1"
    assert load_settings(kafka={"bootstrap": "told:1"}).kafka.client == settings.kafka.client


def test_a_section_as_json_in_one_variable(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    del file
    monkeypatch.setenv("WEIGHBRIDGE_TOPICS", '{"prompts": 3}')
    monkeypatch.setenv("WEIGHBRIDGE_TOPICS__WORK", "8")
    topics = load_settings().topics
    assert (topics.prompts, topics.work) == (3, 8)


def test_the_order_in_the_file_is_the_order_of_preference(file: Path) -> None:
    file.write_text(FULL)
    catalog = load_settings().catalog()
    assert catalog.providers["chat-small"] == ("azure", "google")
    assert catalog.providers["picture"] == ("azure",)
    assert catalog.default_models == {"chat": "chat-small"}


def test_an_unknown_name_is_refused_with_its_line_and_what_was_meant(file: Path) -> None:
    file.write_text(FULL + "max_in_fligth = 3\n[rooting]\nlight_wait_s = 3\n")
    first, second = refused()
    assert first.place == "providers.google.max_in_fligth"
    assert first.source == "weighbridge.toml, line 21"
    assert "Did you mean max_in_flight?" in first.mend
    assert (second.place, second.source) == ("rooting", "weighbridge.toml, line 22")
    assert "Did you mean routing?" in second.mend


def test_an_unknown_variable_is_refused_by_name(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del file
    monkeypatch.setenv("WEIGHBRIDGE_KAFKA__BOOTSTRP", "x")
    (inside,) = refused()
    assert inside.place == "kafka.bootstrp"
    assert inside.source == "WEIGHBRIDGE_KAFKA__BOOTSTRP"
    monkeypatch.delenv("WEIGHBRIDGE_KAFKA__BOOTSTRP")
    monkeypatch.setenv("WEIGHBRIDGE_KAFA__BOOTSTRAP", "x")
    (section,) = refused()
    assert "Did you mean kafka?" in section.mend
    assert section.source == "WEIGHBRIDGE_KAFA__BOOTSTRAP"


def test_variables_of_ours_that_are_no_settings_are_left_alone(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text(FULL)
    monkeypatch.setenv("WEIGHBRIDGE_JARS_DIR", "/somewhere")
    monkeypatch.setenv("WEIGHBRIDGE_PARENT_PID", "1")
    monkeypatch.setenv("WEIGHBRIDGE_CONFIG", str(file))
    assert load_settings().kafka.bootstrap == "broker:9092"


@pytest.mark.parametrize(
    ("section", "given", "place"),
    [
        ("kafka", {"prefix": "a_b"}, "kafka.prefix"),
        ("topics", {"work": 3}, "topics.work"),
        ("lanes", {"heavy_min": 100}, "lanes"),
        ("lanes", {"reserved_light": 1.0}, "lanes.reserved_light"),
        ("routing", {"heavy_wait_s": 3.0}, "routing"),
        ("dedupe", {"window_s": 100_000}, "dedupe.window_s"),
        ("providers", {"Azure": {}}, "providers.Azure"),
        ("providers", {"azure": {"base_url": "example.org"}}, "providers.azure.base_url"),
        ("providers", {"azure": {"models": {"nope": "x"}}}, "providers.azure.models"),
        ("providers", {"azure": {"dialect": "Cobol"}}, "providers.azure.dialect"),
        ("ops", {"port": 70_000}, "ops.port"),
        ("log", {"level": "loud"}, "log.level"),
        ("kafka", "embedded", "kafka"),
    ],
)
def test_a_value_that_cannot_work_is_refused(
    file: Path, section: str, given: dict[str, object], place: str
) -> None:
    del file
    (found,) = refused(**{section: given})
    assert found.place == place
    assert found.mend


def test_every_mistake_is_named_at_once(file: Path) -> None:
    file.write_text('[kafka]\nprefix = "a b"\n[topics]\nwork = 1\n[log]\nlevel = "x"\n')
    assert [problem.place for problem in refused()] == ["kafka.prefix", "topics.work", "log.level"]
    file.write_text('[providers.a]\nmodels = { x = "1", y = "2" }\n')
    first, second = refused()
    assert "'x'" in first.text
    assert "'y'" in second.text
    assert first.source == "weighbridge.toml, line 2"


@pytest.mark.parametrize("text", ['[kafka\nprefix = "x"', "[kafka]\nprefix = x", "a = 1\na = 2"])
def test_broken_toml_is_one_sentence_with_its_line(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(UsageError, match=r"weighbridge\.toml is not TOML: .* \(at ") as told:
        load_settings()
    assert told.value.exit_code == 2


def test_a_file_that_is_not_text_is_one_sentence(file: Path) -> None:
    file.write_bytes(b"\xff\xfe[kafka]")
    with pytest.raises(UsageError, match="is not TOML"):
        load_settings()


def test_a_named_file_must_be_there_and_be_a_file(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        load_settings(Path("other.toml"))
    with pytest.raises(UsageError, match="is not a file"):
        load_settings(file.parent)
    monkeypatch.setenv("WEIGHBRIDGE_CONFIG", "gone.toml")
    with pytest.raises(UsageError, match=r"gone\.toml, named by WEIGHBRIDGE_CONFIG"):
        load_settings()


def test_a_variable_that_is_not_json_is_named_without_its_value(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del file
    monkeypatch.setenv("WEIGHBRIDGE_KAFKA", "sk-very-secret")
    (found,) = refused()
    assert found.source == "WEIGHBRIDGE_KAFKA"
    assert "sk-very-secret" not in f"{found} {found.mend}"


def test_an_unknown_provider_and_one_without_address_say_what_to_do(file: Path) -> None:
    file.write_text(FULL)
    settings = load_settings()
    with pytest.raises(UsageError, match="Known are: azure, google"):
        settings.provider("openai")
    assert settings.base_url("azure") == "https://example.openai.azure.com"
    with pytest.raises(UsageError, match="weighbridge simulator"):
        settings.base_url("google")
    with_simulator = load_settings(simulator={"url": "http://127.0.0.1:8399/"})
    assert with_simulator.base_url("google") == "http://127.0.0.1:8399/google"


def test_settings_cannot_be_changed_after_they_were_read() -> None:
    settings: Settings = load_settings()
    with pytest.raises(ValueError, match="frozen"):
        settings.kafka.prefix = "other"


def test_each_value_tells_where_it_came_from(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text(FULL)
    monkeypatch.setenv("WEIGHBRIDGE_TOPICS", '{"prompts": 3}')
    monkeypatch.setenv("WEIGHBRIDGE_PROVIDERS__AZURE__MAX_IN_FLIGHT", "7")
    origins = Origins(Path("weighbridge.toml"), os.environ)
    assert origins.of(["topics", "prompts"]) == "WEIGHBRIDGE_TOPICS"
    assert origins.of(["topics", "work"]) == "default"
    found = origins.of(["providers", "azure", "max_in_flight"])
    assert found == "WEIGHBRIDGE_PROVIDERS__AZURE__MAX_IN_FLIGHT"
    assert origins.of(["kafka", "bootstrap"]) == "weighbridge.toml, line 3"
    assert origins.of(["kafka", "client", "security.protocol"]) == "weighbridge.toml, line 4"
    assert origins.of(["providers", "azure", "models", "picture"]) == "weighbridge.toml, line 16"
    assert origins.of(["log", "level"]) == "default"


def test_a_store_of_inputs_is_a_url_or_a_section_and_one_prompt_fits_into_a_worker() -> None:
    given = {"inputs": ["s3://a/in", {"url": "gs://b", "options": {"k": "v"}}]}
    first, second = load_settings(store=given).store.inputs
    assert (first.url, first.options) == ("s3://a/in", {})
    assert (second.url, second.options) == ("gs://b", {"k": "v"})
    for wrong in ({"inputs": ["/a/folder"]}, {"max_input_bytes": 10**9}, {"inputs": [5]}):
        with pytest.raises(UsageError, match="store"):
            load_settings(store=wrong)
