"""Commands where nobody is at the broker's address: one sentence that names it, and exit code 3."""

from contextlib import ExitStack
from typing import Final

from broker.settings import load_settings
from tests.cli.running import DEADLINE_S, started

NOBODY: Final = "127.0.0.1:9"
COMMANDS: Final = (
    ("watch",),
    ("audit",),
    ("send", "Why?"),
    ("status", "p1"),
    ("trace", "p1"),
    ("dlt", "list"),
)


def test_each_command_says_where_nobody_answered() -> None:
    # All at once: each of them waits ten seconds for an answer.
    with ExitStack() as stack:
        running = [
            stack.enter_context(started(load_settings(), *command, "--kafka", NOBODY))
            for command in COMMANDS
        ]
        for command, process in zip(COMMANDS, running, strict=True):
            out, err = process.communicate(timeout=DEADLINE_S)
            assert process.returncode == 3, (command, err)
            assert out == "", command
            assert NOBODY in err, command
            assert "Traceback" not in err, command
