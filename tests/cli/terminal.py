"""A real terminal for commands: what they write to it, and how its screen looks."""

import os
import re
from dataclasses import dataclass

import pexpect
import pyte

from tests.cli.running import COMMAND, DEADLINE_S

COLOUR = re.compile(r"\x1b\[(?:[0-9;]*;)?(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])(?:;[0-9;]*)?m")
"""A sequence that sets a colour; bold and dim are none."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a command wrote to its terminal, the lines of its screen, and its exit code."""

    written: str
    lines: list[str]
    code: int | None

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def coloured(self) -> bool:
        return COLOUR.search(self.written) is not None


def show(*arguments: str, columns: int = 100, rows: int = 200, **env: str) -> Shown:
    """Run a command in a terminal of this size until it ends."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in {"NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "CI", "GITHUB_ACTIONS"}
    }
    child = pexpect.spawn(
        COMMAND[0],
        [*COMMAND[1:], *arguments],
        env={**kept, "TERM": "xterm-256color", **env},
        dimensions=(rows, columns),
        timeout=DEADLINE_S,
        encoding="utf-8",
    )
    try:
        child.expect(pexpect.EOF)
        child.close()
    finally:
        child.terminate(force=True)
    written = str(child.before)
    screen = pyte.Screen(columns, rows)
    pyte.Stream(screen).feed(written)
    return Shown(written, [line.rstrip() for line in screen.display], child.exitstatus)
