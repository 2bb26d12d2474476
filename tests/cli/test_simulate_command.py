"""`weighbridge simulate` as a user runs it; what a real run says beside it is in tests/simulate."""

import re
from pathlib import Path

import pytest

from broker.settings import Settings, load_settings
from tests.cli.running import rows, run

POLICIES = Path(__file__).parents[2] / "docs" / "policies"


@pytest.fixture
def nowhere() -> Settings:
    """A broker that nobody needs for a trace."""
    return load_settings(kafka={"bootstrap": "127.0.0.1:1"})


def short(*more: str) -> tuple[str, ...]:
    clouds = str(POLICIES / "clouds.toml")
    return ("simulate", "--config", clouds, "--trace", "conv", "--prompts", "200", *more)


def policies(*names: str) -> list[str]:
    return [word for name in names for word in ("--policy", str(POLICIES / f"{name}.toml"))]


def test_policies_stand_side_by_side_in_tables(nowhere: Settings) -> None:
    ran = run(nowhere, *short(*policies("one-cloud", "fastest")))
    shown = rows(ran.out)
    assert shown[0] == "200 prompts of conv"
    assert any(line.startswith("one-cloud 200 ") for line in shown)
    assert any(line.startswith("fastest 200 ") for line in shown)
    assert any(line.startswith("light one-cloud ") for line in shown)
    assert any(line.startswith("chat-app one-cloud 200 ") for line in shown)
    assert any(line.startswith("openai one-cloud 200 100% ") for line in shown)
    assert "prompts a second of CPU time" in ran.err


def test_the_same_seed_gives_the_same_bytes(nowhere: Settings, tmp_path: Path) -> None:
    command = short("--json", "--outage", "openai:20-60", *policies("overflow", "cheapest"))
    page = tmp_path / "page.html"
    first = run(nowhere, *command, "--html", str(page))
    once = page.read_text()
    second = run(nowhere, *command, "--html", str(page))
    assert first.out == second.out
    assert once == page.read_text()
    told = first.json()
    assert list(told["policies"]) == ["overflow", "cheapest"]
    assert told["policies"]["overflow"]["statuses"] == {"succeeded": 200}
    assert told["policies"]["overflow"]["providers"]["openai"]["answered"] > 0


def test_the_page_is_whole_in_itself(nowhere: Settings, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    run(nowhere, *short("--html", str(page), "--json", *policies("one-cloud", "overflow")))
    text = page.read_text()
    assert text.count("<svg") == 3
    # Names of XML's own are no addresses to be fetched.
    named = re.findall(r'(?:href|src|url)\s*[=(]\s*"?([^")\s>]+)', text)
    assert all(one.startswith("#") for one in named)
    assert "one-cloud" in text
    assert "worst minute" in text


def test_without_matplotlib_it_says_what_to_install(nowhere: Settings, tmp_path: Path) -> None:
    """A module of that name that is None in sys.modules is one that is not there."""
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['matplotlib'] = None\n")
    ran = run(
        nowhere,
        *short("--html", str(tmp_path / "page.html")),
        expect=2,
        PYTHONPATH=str(tmp_path),
    )
    assert "pip install 'weighbridge[plots]'" in ran.err
    assert not (tmp_path / "page.html").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "either --from-log or --trace"),
        (("--from-log", "--speed", "2"), "belong to --trace"),
        (("--trace", "conv", "--policy", "none.toml"), "none.toml cannot be read"),
    ],
)
def test_what_cannot_be_replayed_is_told(
    nowhere: Settings, arguments: tuple[str, ...], told: str
) -> None:
    ran = run(nowhere, "simulate", *arguments, expect=2)
    assert told in ran.err


def test_a_log_without_prompts_is_told(settings: Settings) -> None:
    run(settings, "topics", "apply")
    ran = run(settings, "simulate", "--from-log", expect=2)
    assert "no prompt in that time" in ran.err
