"""Every sample of settings that the documentation shows can be used as it stands."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.settings import Settings, load_settings
from broker.settings.advice import advice_on
from broker.settings.origins import Origins
from workers.providers.registry import adapter_for

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/**/*.md", "DESIGN.md", "CONTRIBUTING.md")
BLOCK = re.compile(r"^```toml\n(.*?)^```", re.MULTILINE | re.DOTALL)
VARIABLE = re.compile(r'"env:(\w+)"')
PROVIDER_PAGES = ("openai", "azure", "google", "coreweave", "ollama")


def samples() -> Iterator[tuple[str, str]]:
    """Where each stands, and its text."""
    for pattern in PAGES:
        for page in sorted(ROOT.glob(pattern)):
            text = page.read_text("utf-8")
            for found in BLOCK.finditer(text):
                line = text[: found.start()].count("\n") + 2
                yield f"{page.relative_to(ROOT)}:{line}", found.group(1)


SAMPLES = dict(samples())


def loaded(sample: str, folder: Path) -> tuple[Settings, Path]:
    file = folder / "weighbridge.toml"
    file.write_text(SAMPLES[sample], "utf-8")
    return load_settings(file), file


@pytest.mark.parametrize("sample", SAMPLES)
def test_it_loads_and_each_provider_in_it_can_be_spoken_to(sample: str, tmp_path: Path) -> None:
    settings, _ = loaded(sample, tmp_path)
    for provider in settings.providers.values():
        adapter_for(provider)


@pytest.mark.parametrize("sample", [name for name in SAMPLES if "docs/providers" in name])
def test_a_sample_of_a_provider_leaves_nothing_to_doubt(sample: str, tmp_path: Path) -> None:
    settings, file = loaded(sample, tmp_path)
    names = VARIABLE.findall(SAMPLES[sample])
    doubts = advice_on(settings, Origins(file), dict.fromkeys(names, "a-key"))
    # The files that hold keys are not on this machine.
    assert [doubt for doubt in doubts if "file" not in doubt.text] == []
    assert not any(settings.is_simulated(name) for name in settings.providers)


@pytest.mark.parametrize("name", PROVIDER_PAGES)
def test_each_provider_has_a_page_that_says_what_was_not_proved(name: str) -> None:
    page = (ROOT / "docs" / "providers" / f"{name}.md").read_text("utf-8")
    assert "**Not proved: anything at" in page
    for heading in ("## What is sent", "## Limits and errors", "## What was proved"):
        assert heading in page
    assert f"docs/providers/{name}.md" in (ROOT / "README.md").read_text("utf-8")
