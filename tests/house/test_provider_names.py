"""No provider's name where all providers are alike: a fifth one is a file and a line, no more."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMES = re.compile(
    "openai|azure|entra|microsoft|google|gemini|vertex|coreweave|wandb|vllm|mistral|ollama|llama",
    re.IGNORECASE,
)
"""`entra` is also the middle of a word (`central`), so it must stand alone or at an end."""
INSIDE = re.compile(r"(?<=[a-z])entra(?=[a-z])", re.IGNORECASE)
ALLOWED = {"providers", "simulator"}
"""Rooms of `workers` that are about single providers."""


def places() -> Iterator[Path]:
    yield from sorted((ROOT / "broker" / "core").rglob("*.py"))
    for path in sorted((ROOT / "workers").rglob("*.py")):
        if path.relative_to(ROOT / "workers").parts[0] not in ALLOWED:
            yield path


def words(source: str) -> Iterator[tuple[int, str]]:
    """Identifiers and texts of a file with their lines; not its comments and docstrings."""
    tree = ast.parse(source)
    told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant):
            if isinstance(node.value, str | bytes) and id(node) not in told:
                yield node.lineno, str(node.value)
            continue
        for _, value in ast.iter_fields(node):
            if isinstance(value, str):
                yield getattr(node, "lineno", 0), value


def named(source: str) -> list[int]:
    return [line for line, word in words(source) if NAMES.search(INSIDE.sub("", word))]


@pytest.mark.parametrize("path", list(places()), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_provider_is_named_where_all_are_alike(path: Path) -> None:
    assert named(path.read_text("utf-8")) == []
    assert not NAMES.search(path.stem)


@pytest.mark.parametrize(
    "code",
    [
        "import openai",
        "from workers.providers.gemini import Gemini",
        "azure_retries = 1",
        "def for_vllm(): ...",
        "call(google=True)",
        "if dialect == 'openai': pass",
        "x = f'{y} of CoreWeave'",
        "x.ollama",
        "def f(*, entra): ...",
    ],
)
def test_the_rule_sees_names_in_code(code: str) -> None:
    assert set(named(code)) == {1}


@pytest.mark.parametrize("code", ["# as OpenAI does", '"""OpenAI."""', "x = 'central'"])
def test_and_lets_words_for_people_be(code: str) -> None:
    assert named(code) == []
