"""Runs commands as a user does: a process of its own, its output and its exit code."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson

from broker.settings import Settings

DEADLINE_S = 60.0
COMMAND = (sys.executable, "-m", "broker.cli")


@dataclass(frozen=True, slots=True)
class Ran:
    code: int
    out: str
    err: str

    def json(self) -> Any:
        return orjson.loads(self.out)

    def lines(self) -> list[Any]:
        return [orjson.loads(line) for line in self.out.splitlines()]


def environment(settings: Settings, **more: str) -> dict[str, str]:
    """What a command needs to find this test's broker, topics and their small sizes."""
    given = {
        "WEIGHBRIDGE_KAFKA__BOOTSTRAP": settings.kafka.bootstrap,
        "WEIGHBRIDGE_KAFKA__PREFIX": settings.kafka.prefix,
    }
    for name, count in settings.topics.model_dump().items():
        given[f"WEIGHBRIDGE_TOPICS__{name.upper()}"] = str(count)
    return {**os.environ, "COLUMNS": "160", "NO_COLOR": "1", **given, **more}


def run(
    settings: Settings,
    *arguments: str,
    stdin: str | bytes = b"",
    expect: int | None = 0,
    **env: str,
) -> Ran:
    """Run `weighbridge` with these arguments; `expect` is its exit code (None: any)."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        input=stdin.encode() if isinstance(stdin, str) else stdin,
        capture_output=True,
        timeout=DEADLINE_S,
        env=environment(settings, **env),
        check=False,
    )
    ran = Ran(done.returncode, done.stdout.decode(), done.stderr.decode())
    assert "Traceback" not in ran.err, ran.err
    assert expect is None or ran.code == expect, ran
    return ran


@contextmanager
def started(settings: Settings, *arguments: str, **env: str) -> "Iterator[subprocess.Popen[str]]":
    """The command while it runs; it is ended with the block."""
    with subprocess.Popen(
        [*COMMAND, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(settings, **env),
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def rows(text: str) -> Sequence[str]:
    """The lines of a table without its padding."""
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]
