"""Kafka's log is read while it grows, and it is turned over when it is full."""

from pathlib import Path

import pytest

from broker.log.embedded.log_tail import LogTail


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "kafka.log"


def add(log: Path, text: str) -> None:
    with log.open("a") as file:
        file.write(text)


def turn_over(log: Path) -> None:
    log.rename(log.with_name("kafka.log.1"))


def test_only_what_came_since_is_read(log: Path) -> None:
    add(log, "before\n")
    tail = LogTail(log)
    assert tail.read() == ""
    add(log, "after\n")
    assert tail.read() == "after\n"


def test_a_log_that_is_turned_over_meanwhile_loses_nothing(log: Path) -> None:
    add(log, "long before\n" * 100)
    tail = LogTail(log)
    add(log, "first\n")
    turn_over(log)
    assert tail.read() == "first\n"
    add(log, "second\n")
    assert tail.read() == "first\nsecond\n"


def test_the_log_of_an_earlier_time_is_not_read(log: Path) -> None:
    add(log, "of yesterday\n")
    turn_over(log)
    add(log, "of today\n")
    tail = LogTail(log)
    add(log, "now\n")
    assert tail.read() == "now\n"


def test_a_log_that_begins_later_is_read_from_its_beginning(log: Path) -> None:
    tail = LogTail(log)
    assert tail.read() == ""
    add(log, "now\n")
    assert tail.read() == "now\n"
