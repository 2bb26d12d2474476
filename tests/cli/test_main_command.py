"""The command line as a whole: what it lists, how quick it is, how it fails."""

import os
import re
import resource
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from broker import __version__
from broker.cli.main import COMMANDS
from broker.settings import Settings, load_settings
from tests.cli.running import COMMAND, run
from tests.cli.terminal import show

ROOT = Path(__file__).parents[2]
NAMES = [command.name for command in COMMANDS]
HEAVY = {"aiohttp", "aiokafka", "confluent_kafka", "faust", "pydantic", "splintr", "structlog"}
INSTALLED = Path(sys.executable).with_name("weighbridge")
QUICK_S = 0.3
BASH = shutil.which("bash") or "bash"


@pytest.fixture
def nowhere() -> Settings:
    """Settings without a broker: for commands that ask none."""
    return load_settings()


def python(script: str, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=ROOT,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_every_command_of_the_contract_is_listed_in_order(nowhere: Settings) -> None:
    told = run(nowhere, "--help").out
    listed = re.findall(r"^│ ([a-z][a-z-]*) {2,}\S", told, re.MULTILINE)
    assert listed == NAMES
    assert "Exit codes: 0 done" in told


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    script = (
        "import sys; from broker.cli.main import run\n"
        "try: run()\n"
        "except SystemExit: print(*sys.modules, file=sys.stderr)"
    )
    ran = python(script, "--help")
    assert "doctor" in ran.stdout
    assert HEAVY & set(ran.stderr.split()) == set()

    def cpu_s() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([*COMMAND, "--help"], capture_output=True, timeout=30, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    # The processor's time, not the clock's: others may be busy beside this test.
    assert min(cpu_s() for _ in range(5)) < QUICK_S


def test_the_version_is_the_package_s(nowhere: Settings) -> None:
    assert run(nowhere, "--version").out == f"weighbridge {__version__}\n"


def test_no_command_and_a_wrong_one_are_usage_errors(nowhere: Settings) -> None:
    assert "Usage:" in run(nowhere, expect=2).out
    assert "Did you mean 'kafka'?" in run(nowhere, "kafak", expect=2).err
    assert "No such option" in run(nowhere, "doctor", "--nope", expect=2).err
    assert "HOST:PORT" in run(nowhere, "doctor", "--kafka", "nonsense", expect=2).err


@pytest.mark.parametrize("name", NAMES)
def test_each_command_explains_itself_in_a_terminal(name: str) -> None:
    coloured = show(name, "--help")
    assert coloured.code == 0, coloured.text
    assert coloured.coloured
    plain = show(name, "--help", NO_COLOR="1")
    assert plain.code == 0
    assert not plain.coloured
    assert plain.text == coloured.text
    assert f"broker.cli {name} " in plain.text
    assert "Show this message and exit." in plain.text
    listed = {command.name: command for command in COMMANDS}[name]
    assert listed.text[:1].isupper()
    assert listed.text.endswith(".")


@pytest.mark.parametrize("group", ["kafka", "topics", "config", "dlt"])
def test_each_command_of_a_group_explains_itself(nowhere: Settings, group: str) -> None:
    told = run(nowhere, group, "--help").out
    names = re.findall(r"^│ ([a-z][a-z-]*) {2,}\S", told, re.MULTILINE)
    assert len(names) > 1
    for name in names:
        assert "Show this message and exit." in run(nowhere, group, name, "-h").out


def test_a_narrow_terminal_breaks_no_line() -> None:
    narrow = show("--help", columns=60, NO_COLOR="1")
    boxed = [line for line in narrow.lines if line.startswith(("│", "╭", "╰"))]
    assert boxed
    assert {len(line) for line in boxed} == {60}


def complete(shell: str, words: str, position: int) -> list[str]:
    ran = subprocess.run(
        [INSTALLED],
        env={
            **os.environ,
            "_WEIGHBRIDGE_COMPLETE": f"complete_{shell}",
            "COMP_WORDS": words,
            "COMP_CWORD": str(position),
            "_TYPER_COMPLETE_ARGS": words,
        },
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return ran.stdout.split("\n")


def test_a_shell_completes_commands_their_commands_and_options() -> None:
    assert complete("bash", "weighbridge do", 1)[:1] == ["doctor"]
    assert set(complete("bash", "weighbridge kafka st", 2)) >= {"start", "stop", "status"}
    assert "--since" in complete("bash", "weighbridge audit --s", 2)
    assert any('"topics":"What should be' in line for line in complete("zsh", "weighbridge ", 1))


def test_the_completion_script_is_one_that_bash_can_read(tmp_path: Path) -> None:
    script = tmp_path / "completion.sh"
    asked = f"'{INSTALLED}' --show-completion > '{script}'; exit $?"
    subprocess.run([BASH, "-c", asked], timeout=30, check=True)
    assert "_weighbridge_completion" in script.read_text()
    used = f". '{script}'; complete -p weighbridge"
    ran = subprocess.run([BASH, "-c", used], capture_output=True, text=True, timeout=30, check=True)
    assert "-F _weighbridge_completion weighbridge" in ran.stdout


FAILING = """
import sys, types
from broker.cli import main
def audit() -> None:
    prompt = "why-is-the-sky-blue"
    raise {error}
sys.modules["broker.cli.audit"] = types.SimpleNamespace(audit=audit)
sys.argv = ["weighbridge", "audit"]
main.run()
"""


def test_what_nobody_foresaw_is_one_sentence_and_a_note_without_values(tmp_path: Path) -> None:
    failing = FAILING.format(error="ValueError(f'cannot read {prompt}')")
    ran = python(failing, XDG_STATE_HOME=str(tmp_path))
    assert ran.returncode == 1
    assert ran.stdout == ""
    (line,) = ran.stderr.splitlines()
    assert line.startswith("weighbridge: an unexpected ValueError at ")
    (note,) = (tmp_path / "weighbridge" / "crashes").iterdir()
    assert str(note) in line
    told = note.read_text()
    assert "command: audit" in told
    assert "in audit" in told
    assert "why-is-the-sky-blue" not in told + line
    assert stat.S_IMODE(note.stat().st_mode) == 0o600


def test_a_state_folder_that_cannot_be_written_does_not_hide_the_failure(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ran = python(FAILING.format(error="KeyError(prompt)"), XDG_STATE_HOME=str(tmp_path / "file"))
    assert ran.returncode == 1
    assert "an unexpected KeyError" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_old_notes_are_removed(tmp_path: Path) -> None:
    folder = tmp_path / "weighbridge" / "crashes"
    folder.mkdir(parents=True)
    for number in range(30):
        (folder / f"2020010{number:02}T000000Z-1.txt").touch()
    python(FAILING.format(error="KeyError(prompt)"), XDG_STATE_HOME=str(tmp_path))
    assert len(list(folder.iterdir())) == 20


def test_ctrl_c_is_no_failure_to_report(tmp_path: Path) -> None:
    ran = python(FAILING.format(error="KeyboardInterrupt"), XDG_STATE_HOME=str(tmp_path))
    assert (ran.returncode, ran.stderr) == (130, "")


def test_a_reader_that_goes_away_is_no_failure() -> None:
    command = " ".join([*COMMAND, "config", "show"])
    ran = subprocess.run(
        [BASH, "-c", f"{command} | head -n 1"],
        cwd=ROOT,
        capture_output=True,
        timeout=30,
        check=True,
    )
    assert ran.stderr == b""
