"""The files for containers are valid by the tools their own communities use, offline."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = Path(sys.executable).parent

CHECKS = {
    "compose": [
        "check-jsonschema",
        "--builtin-schema",
        "vendor.compose-spec",
        "deploy/compose.yaml",
    ],
    "yaml": ["yamllint", "--strict", "deploy/compose.yaml"],
    "dockerfile": ["hadolint", "deploy/Dockerfile"],
    "shell": ["shellcheck", "deploy/setup.sh", "deploy/lock.sh", ".ci/run"],
}


@pytest.mark.parametrize("name", CHECKS)
def test_deploy_files_are_valid(name: str) -> None:
    program, *arguments = CHECKS[name]
    done = subprocess.run(
        [SCRIPTS / program, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_provider_of_the_default_settings_has_a_pool_in_compose() -> None:
    from broker.settings import load_settings  # noqa: PLC0415 - after the environment is clean

    compose = (ROOT / "deploy/compose.yaml").read_text()
    for provider in load_settings().providers:
        assert f"command: [worker, {provider}]" in compose
