"""The table of third-party licences names every locked package and archive, with its version."""

from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_locked_part_is_in_the_table() -> None:
    table = (ROOT / "THIRD_PARTY_LICENSES.md").read_text()
    for lock in ("requirements.lock", "requirements-dev.lock"):
        for line in (ROOT / lock).read_text().splitlines():
            if "==" in line and not line.startswith(" "):
                name, version = line.split(" ")[0].split("==")
                assert f"| {name} | {version} |" in table, f"run deploy/licences.py for {name}"
    for line in (ROOT / "broker/log/embedded/jars.lock").read_text().splitlines():
        if line and not line.startswith("#"):
            group, artifact, version = line.split()[0].split(":")
            assert f"| {group}:{artifact} | {version} |" in table


def test_no_part_has_an_unknown_licence() -> None:
    table = (ROOT / "THIRD_PARTY_LICENSES.md").read_text()
    assert "see the package" not in table
    assert "not installed" not in table
