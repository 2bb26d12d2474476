"""`send` and `watch` on a real terminal: a bar that goes away, colours, and none with NO_COLOR."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pexpect
import pyte
import pytest

from broker.records.completion import Completion
from broker.settings import Settings
from tests.cli.answering import answering, echo
from tests.cli.running import COMMAND, environment
from tests.story.seeding import Seeder, completion_of, small

DEADLINE_S = 40
COLUMNS, LINES = 120, 60
COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-9][0-9;]*m")


@pytest.fixture
def made(settings: Settings) -> Settings:
    return small(settings)


@contextmanager
def on_terminal(settings: Settings, *arguments: str, **env: str) -> Iterator["pexpect.spawn[str]"]:
    """The command on a terminal of its own."""
    given = {**environment(settings), "TERM": "xterm-256color", "COLUMNS": str(COLUMNS)}
    del given["NO_COLOR"]
    child = pexpect.spawn(
        COMMAND[0],
        [*COMMAND[1:], *arguments],
        env={**given, **env},
        dimensions=(LINES, COLUMNS),
        timeout=DEADLINE_S,
        encoding="utf-8",
    )
    try:
        yield child
    finally:
        child.close(force=True)


def finished(child: "pexpect.spawn[str]") -> str:
    """Everything it wrote until its end."""
    child.expect(pexpect.EOF)
    child.wait()
    return child.before or ""


def screen_of(text: str) -> list[str]:
    """What stands on the terminal after it."""
    screen = pyte.Screen(COLUMNS, LINES)
    pyte.Stream(screen).feed(text)
    return [line.rstrip() for line in screen.display if line.strip()]


def slowly(identity: str, fields: dict[str, Any]) -> Completion | None:
    time.sleep(0.05)
    return echo(identity, fields)


def many(folder: Path, count: int) -> str:
    file = folder / "prompts.jsonl"
    file.write_bytes(
        b"\n".join(orjson.dumps({"id": f"p-{n}", "prompt": f"Question {n}?"}) for n in range(count))
    )
    return str(file)


@pytest.mark.parametrize("colours", [True, False])
def test_answers_appear_above_a_bar_that_goes_away(
    made: Settings, tmp_path: Path, *, colours: bool
) -> None:
    env = {} if colours else {"NO_COLOR": "1"}
    with (
        answering(made, slowly),
        on_terminal(made, "send", "--file", many(tmp_path, 15), "--wait", **env) as child,
    ):
        written = finished(child)
        assert child.exitstatus == 0
    assert re.search(r"answered .*/15", written)
    assert bool(COLOUR.search(written)) is colours
    shown = screen_of(written)
    assert shown[-1] == "Sent 15 prompts: 15 succeeded."
    assert not [line for line in shown if "/15" in line]
    for number in range(15):
        place = next(n for n, line in enumerate(shown) if line.startswith(f"p-{number}  "))
        assert shown[place + 1] == f"QUESTION {number}?"


def test_one_answer_is_only_its_text(made: Settings) -> None:
    with answering(made), on_terminal(made, "send", "Why is it so?", "--wait") as child:
        shown = screen_of(finished(child))
        assert child.exitstatus == 0
    assert shown[0].startswith("Sent ")
    assert shown[1:] == ["WHY IS IT SO?"]


def test_the_keyboard_is_read_until_its_end(made: Settings) -> None:
    with answering(made), on_terminal(made, "send", "-", "--wait") as child:
        child.expect("Ctrl-D ends it")
        child.sendline("Why is the sky blue?")
        child.sendeof()
        child.expect("WHY IS THE SKY BLUE")
        finished(child)
        assert child.exitstatus == 0


def test_an_answer_cannot_steer_the_terminal(made: Settings) -> None:
    def answer(identity: str, _: dict[str, Any]) -> Completion | None:
        return completion_of(identity, time.time(), text="before\x1b[2J\x1b]0;title\x07after")

    with answering(made, answer), on_terminal(made, "send", "Why?", "--wait") as child:
        written = finished(child)
    assert "\x1b[2J" not in written
    assert "\x1b]0;" not in written
    assert "after" in written


def test_ctrl_c_while_waiting_is_exit_code_130(made: Settings) -> None:
    with on_terminal(made, "send", "Why?", "--wait") as child:
        child.expect("Sent [0-9a-f]{32}")
        child.sendintr()
        rest = finished(child)
        assert child.exitstatus == 130
    assert "Traceback" not in rest


@pytest.mark.parametrize("colours", [True, False])
def test_watch_colours_the_status_and_ends_on_ctrl_c(made: Settings, *, colours: bool) -> None:
    seeder = Seeder(made)
    env = {} if colours else {"NO_COLOR": "1"}
    with on_terminal(made, "watch", "--text", **env) as child:
        child.expect("Watching")
        seeder.completion(completion_of("good", time.time(), text="An answer [bold]in full[/]."))
        seeder.completion(completion_of("bad", time.time(), status="failed"))
        seeder.flush()
        child.expect("good")
        before = child.before or ""
        child.expect(re.escape("An answer [bold]in full[/]."))
        before += child.before or ""
        child.sendintr()
        written = before + finished(child)
        assert child.exitstatus == 0
    assert bool(COLOUR.search(written)) is colours
    assert "Traceback" not in written
    assert "Aborted" not in written
