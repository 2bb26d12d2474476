"""Rules of the house that no other tool holds."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = ("broker", "workers")
LONGEST = 260
TOO_LONG: dict[str, str] = {}
"""Files that are longer, each with its reason; a file that has become short is taken out."""
SAY_NOTHING = {
    "utils",
    "util",
    "base",
    "manager",
    "helpers",
    "helper",
    "common",
    "misc",
    "core_utils",
}
REASON = re.compile(r"#\s*(noqa|type: ignore)(?P<what>[^#]*)(?P<rest>.*)")


def files(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_arrows_between_rooms_go_one_way() -> None:
    command = [
        sys.executable,
        "-c",
        "from importlinter.cli import lint_imports_command as run; run()",
    ]
    ran = subprocess.run(
        [*command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=110, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "0 broken" in ran.stdout


def test_every_room_stands_in_the_contract() -> None:
    told = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    (layers,) = [
        contract["layers"]
        for contract in told["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers"
    ]
    named = {room.strip() for layer in layers for room in layer.split("|")}
    rooms = {f"broker.{path.parent.name}" for path in (ROOT / "broker").glob("*/__init__.py")}
    assert rooms | {"workers"} == named


def test_files_are_short_or_have_a_reason() -> None:
    long = {
        name_of(path)
        for path in files(*CODE)
        if len(path.read_text("utf-8").splitlines()) > LONGEST
    }
    assert long == set(TOO_LONG)


def test_modules_are_named_by_what_they_do() -> None:
    assert [name_of(path) for path in files(*CODE, "tests") if path.stem in SAY_NOTHING] == []


def test_every_exception_to_a_rule_has_its_reason() -> None:
    found = []
    for path in files(*CODE, "tests", "deploy"):
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            told = REASON.search(line)
            if told is None or path == Path(__file__):
                continue
            reason = told["rest"].strip("# ") or told["what"].partition(" - ")[2].strip()
            if len(reason) < len("why"):
                found.append(f"{name_of(path)}:{number}")
    assert found == []


def test_no_path_of_one_machine_is_written_down() -> None:
    places = (str(ROOT), str(Path.home() / "."))
    found = [
        name_of(path)
        for path in files(*CODE, "tests", "deploy")
        if any(place in path.read_text("utf-8") for place in places)
    ]
    assert found == []


def test_packages_that_are_shipped_say_that_they_are_typed() -> None:
    assert all((ROOT / package / "py.typed").exists() for package in CODE)
