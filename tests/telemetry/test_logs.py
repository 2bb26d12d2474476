"""Log lines: what was given and nothing else, for machines and for people."""

import io
import logging
from typing import Any

import orjson
import pytest

from broker.records.errors import NotReadyError
from broker.telemetry.logs import configure_logs, get_logger

PROMPT = "tell-nobody-what-i-asked"


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in out.getvalue().splitlines()]


def fail() -> None:
    key = f"{PROMPT}-key"
    raise ValueError(f"cannot parse {PROMPT} with {key}")


def test_a_line_has_what_was_given_the_level_and_the_time_and_nothing_else() -> None:
    out = io.StringIO()
    configure_logs("info", "json", out)
    get_logger(room="tests", slot=1).info("started", records=3)
    (line,) = lines(out)
    assert line.pop("timestamp").endswith("Z")
    assert line == {"room": "tests", "slot": 1, "records": 3, "event": "started", "level": "info"}


@pytest.mark.parametrize(
    ("level", "expected"),
    [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)],
)
def test_a_level_leaves_out_what_is_below_it(level: str, expected: int) -> None:
    out = io.StringIO()
    configure_logs(level, "json", out)
    log = get_logger()
    for name in ("debug", "info", "warning", "error"):
        getattr(log, name)(name)
    assert len(lines(out)) == expected


def test_libraries_come_out_in_the_same_form_the_talkative_ones_from_warning() -> None:
    out = io.StringIO()
    configure_logs("info", "json", out)
    logging.getLogger("some.library").info("said %s", "this")
    logging.getLogger("aiokafka.consumer").info("chatter")
    logging.getLogger("faust").warning("trouble")
    said, trouble = lines(out)
    assert (said["event"], said["level"]) == ("said this", "info")
    assert (trouble["event"], trouble["level"]) == ("trouble", "warning")


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_failure_shows_the_way_to_it_and_no_values(form: str) -> None:
    out = io.StringIO()
    configure_logs("info", form, out)
    prompt = PROMPT
    try:
        fail()
    except ValueError:
        get_logger().exception("failed", length=len(prompt))
        logging.getLogger("some.library").exception("failed too")
    told = out.getvalue()
    assert PROMPT not in told
    assert told.count("builtins.ValueError (its message is left out") == 2
    assert "in fail" in told


def test_our_own_failures_are_told_with_what_to_do() -> None:
    out = io.StringIO()
    configure_logs("info", "json", out)
    try:
        try:
            fail()
        except ValueError as error:
            raise NotReadyError("Kafka is away.", mend="Start it.") from error
    except NotReadyError as error:
        get_logger().error("gone", exc_info=error)
    (line,) = lines(out)
    assert "NotReadyError: Kafka is away. Start it." in line["exception"]
    assert "which came from:" in line["exception"]
    assert PROMPT not in line["exception"]


def test_people_get_words_without_colours_where_there_is_no_terminal() -> None:
    out = io.StringIO()
    configure_logs("info", "console", out)
    get_logger(room="tests").info("started", records=3)
    assert "started" in out.getvalue()
    assert "records=3" in out.getvalue()
    assert "\x1b" not in out.getvalue()


def test_auto_is_json_where_there_is_no_terminal_and_colours_on_one() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    out = io.StringIO()
    configure_logs("info", "auto", out)
    get_logger().info("to a file")
    assert lines(out)[0]["event"] == "to a file"
    shown = Terminal()
    configure_logs("info", "auto", shown)
    get_logger().info("to a person")
    assert "\x1b[" in shown.getvalue()


def test_no_colour_is_honoured_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("NO_COLOR", "1")
    shown = Terminal()
    configure_logs("info", "auto", shown)
    get_logger().info("to a person")
    assert "to a person" in shown.getvalue()
    assert "\x1b[" not in shown.getvalue()
