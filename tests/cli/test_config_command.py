"""`weighbridge config` as a user runs it."""

import sys
from pathlib import Path

import pytest

from broker.cli.provider_mistakes import provider_mistakes
from broker.settings import Settings, load_settings
from broker.settings.origins import Origins
from tests.cli.running import rows, run

KEY = "sk-nobody-may-see-this"
GOOD = f"""
[kafka]
client = {{ "sasl.password" = "{KEY}" }}

[models.chat-small]
default = true

[providers.azure]
base_url = "https://example.org/v1?api-key={KEY}"
api_key = "{KEY}"
models = {{ chat-small = {{ name = "mine", priced_as = "openai/gpt-5" }} }}
"""


@pytest.fixture
def nowhere() -> Settings:
    return load_settings()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "my.toml"


def test_show_has_every_setting_where_it_comes_from_and_no_secret(
    nowhere: Settings, file: Path
) -> None:
    file.write_text(GOOD)
    ran = run(nowhere, "config", "show", "--config", str(file))
    lines = rows(ran.out)
    assert "kafka.prefix llm WEIGHBRIDGE_KAFKA__PREFIX" in lines
    assert any(line.startswith("providers.azure.api_key ********") for line in lines)
    assert "worker.retry_cap_s 20.0" in lines
    assert KEY not in ran.out + ran.err


def test_show_as_json_can_be_read_by_programs(nowhere: Settings, file: Path) -> None:
    file.write_text(GOOD)
    ran = run(nowhere, "config", "show", "--config", str(file), "--json")
    told = ran.json()
    assert list(told) == ["settings", "origins"]
    assert told["settings"]["providers"]["azure"]["api_key"] == "********"
    assert told["origins"]["providers.azure.api_key"].endswith("my.toml, line 10")
    assert told["origins"]["log.level"] == "default"
    changed = run(nowhere, "config", "show", "--config", str(file), "--json", "--changed").json()
    assert "log" not in changed["settings"]
    assert "default" not in changed["origins"].values()
    assert KEY not in ran.out + str(changed)


def test_check_names_every_mistake_with_its_place_and_ends_with_2(
    nowhere: Settings, file: Path
) -> None:
    file.write_text(GOOD + f'max_in_flight = "{KEY}"\nmodell = 1\n[routing]\nheavy_wait_s = 9\n')
    ran = run(nowhere, "config", "check", "--config", str(file), expect=2)
    mistakes = ran.out.splitlines()
    assert len(mistakes) == 3
    assert all(line.startswith("mistake: ") for line in mistakes)
    assert "my.toml, line 12" in mistakes[0]
    assert "Did you mean models?" in mistakes[1]
    assert "heavy_wait_s must be the lowest" in mistakes[2]
    assert "3 to mend" in ran.err
    told = run(nowhere, "config", "check", "--config", str(file), "--json", expect=2)
    assert [each["place"] for each in told.json()["mistakes"]] == [
        *("providers.azure.max_in_flight", "providers.azure.modell", "routing"),
    ]
    assert KEY not in ran.out + ran.err + told.out + told.err


def test_check_tells_doubts_and_ends_with_0(nowhere: Settings, file: Path) -> None:
    file.write_text(GOOD)
    ran = run(nowhere, "config", "check", "--config", str(file))
    (warning,) = ran.out.splitlines()
    assert warning.startswith("warning: providers.azure.api_key")
    assert "env:NAME" in warning
    assert "1 warning" in ran.err
    found = run(nowhere, "config", "check", "--json").json()
    assert found["mistakes"] == []
    assert len(found["warnings"]) == 4
    assert KEY not in ran.out + ran.err


def test_a_file_that_cannot_be_read_is_a_mistake_with_its_place(
    nowhere: Settings, file: Path
) -> None:
    file.write_text("[kafka")
    told = run(nowhere, "config", "check", "--config", str(file), "--json", expect=2).json()
    (mistake,) = told["mistakes"]
    assert "is not TOML" in mistake["text"]
    assert mistake["source"] == str(file)
    missing = run(nowhere, "config", "check", "--config", str(file) + "x", expect=2)
    assert "does not exist" in missing.out
    shown = run(nowhere, "config", "show", "--config", str(file), expect=2)
    assert "is not TOML" in shown.err


def test_other_commands_name_the_mistake_too(nowhere: Settings, file: Path) -> None:
    file.write_text('[kafka]\nprefx = "a"\n')
    ran = run(nowhere, "audit", "--config", str(file), expect=2)
    assert "kafka.prefx" in ran.err
    assert "Did you mean prefix?" in ran.err


def test_check_names_what_would_stop_a_worker(nowhere: Settings, file: Path) -> None:
    file.write_text(
        GOOD.replace("[providers.azure]", "[providers.azure]\ndialect = 'klingon'")
        + "[providers.google]\nbase_url = 'https://example.org'\ndialect = 'gemini'\n"
        + "auth = 'google'\nmodels = { chat-small = 'm' }\n[prices]\nfile = 'none.toml'\n"
    )
    ran = run(nowhere, "config", "check", "--config", str(file), "--json", expect=2)
    told = {each["place"]: each["text"] for each in ran.json()["mistakes"]}
    assert "klingon" in told["providers.azure.dialect"]
    assert "project" in told["providers.google"]
    assert "none.toml" in told["prices.file"]
    assert KEY not in ran.out + ran.err


def test_a_library_that_auth_needs_and_is_missing_is_a_mistake(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "azure.identity", None)
    settings = load_settings(providers={"azure": {"dialect": "azure", "auth": "entra"}})
    (found,) = provider_mistakes(settings, Origins(None, {}))
    assert found.place == "providers.azure.auth"
    assert "weighbridge[entra]" in found.mend
