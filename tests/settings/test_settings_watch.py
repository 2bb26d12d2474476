"""What a process says of its settings file, by log and metric, while it watches it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from broker.records.errors import UsageError
from broker.settings import Settings, load_settings
from broker.telemetry.metrics import ClassifierMetrics
from broker.telemetry.settings_watch import SettingsWatch
from tests.faults.deployment import wait_until

WITHIN_S = 30.0
START = "# as it is\n"
LIMITED = "[tenants.acme]\nrequests_per_minute = 5\n"


class Watched:
    """A file, its watch, and what that said so far, which goes into `lines`."""

    def __init__(self, folder: Path, lines: list[Any]) -> None:
        self.file = folder / "weighbridge.toml"
        self.file.write_text(START, "utf-8")
        self.lines = lines
        self.metrics = ClassifierMetrics()
        self.told: list[Settings] = []
        self.watch = SettingsWatch(
            load_settings(self.file), self.metrics.settings_reloads, every_s=0.02
        )
        self.watch.subscribe(self.told.append)

    def becomes(self, text: str, outcome: str) -> None:
        """Until all was said of it."""
        before = self.count(outcome)
        other = self.file.with_suffix(".new")
        other.write_text(text, "utf-8")
        other.replace(self.file)
        wait_until(lambda: self.count(outcome) == before + 1, WITHIN_S, outcome)

    def count(self, outcome: str) -> float:
        """By the metric, which counts when all was said."""
        found = self.metrics.registry.get_sample_value(
            "weighbridge_settings_reloads_total", {"outcome": outcome}
        )
        return found or 0.0

    def said(self, event: str) -> list[Any]:
        return [line for line in self.lines if line["event"] == event]


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    with capture_logs() as lines:
        made = Watched(tmp_path, lines)
        made.watch.start()
        yield made
        made.watch.close()


def test_each_change_says_what_became_of_it_and_a_wrong_file_what_is_wrong(
    watched: Watched,
) -> None:
    watched.becomes(LIMITED, "taken")
    watched.becomes("[tenants.acme\n", "wrong")
    assert watched.watch.problem is not None
    (line,) = watched.said("settings_not_reloaded")
    assert "is not TOML" in line["why"]
    assert line["then"] == "the settings that were in force stay in force"
    watched.becomes(LIMITED, "same")
    assert watched.watch.problem is None
    assert [line["changed"] for line in watched.said("settings_taken")] == [["tenants"]]
    assert len(watched.told) == 1


def test_what_needs_a_restart_is_named_once_and_again_when_it_was_back(watched: Watched) -> None:
    more = "[worker]\nmax_attempts = 3\n"
    watched.becomes(more, "same")
    watched.becomes(f"{LIMITED}{more}", "taken")
    watched.becomes("[tenants.acme\n", "wrong")
    watched.becomes(f"{LIMITED}{more}[dedupe]\nwindow_s = 60\n", "same")
    watched.becomes(LIMITED, "same")
    watched.becomes(f"{LIMITED}{more}", "same")
    named = [line["settings"] for line in watched.said("settings_need_restart")]
    assert named == [["worker.max_attempts"], ["dedupe.window_s"], ["worker.max_attempts"]]


def test_many_that_need_a_restart_do_not_make_an_endless_line(watched: Watched) -> None:
    names = "".join(f"'option.{number}' = 'hush'\n" for number in range(50))
    watched.becomes(f"[kafka.client]\n{names}", "same")
    (line,) = watched.said("settings_need_restart")
    assert (len(line["settings"]), line["more"]) == (20, 30)
    assert line["settings"][0] == "kafka.client.option.0"
    assert "hush" not in str(watched.lines)


def test_a_part_that_fails_keeps_the_old_and_the_watch_goes_on(watched: Watched) -> None:
    def fail(settings: Settings) -> None:
        if settings.tenants:
            raise RuntimeError("of a defect, with what nobody should read")

    watched.watch.subscribe(fail)
    watched.becomes(LIMITED, "wrong")
    (line,) = watched.said("settings_not_reloaded")
    assert line["why"] == "RuntimeError while they were taken"
    assert [sorted(one.tenants) for one in watched.told] == [["acme"], []]
    watched.becomes("[routing]\npolicy = 'fastest'\n", "taken")


def test_a_part_that_cannot_take_it_says_why_once_until_it_can(watched: Watched) -> None:
    there: list[bool] = []

    def refuse(settings: Settings) -> None:
        if settings.tenants and not there:
            raise UsageError("A topic is not there.", mend="Make it.")

    watched.watch.subscribe(refuse)
    watched.becomes(LIMITED, "wrong")
    assert watched.watch.problem == "A topic is not there. Make it."
    there.append(True)
    wait_until(lambda: watched.count("taken") == 1, WITHIN_S, "taken without another change")
    assert watched.watch.problem is None
    assert watched.count("wrong") == len(watched.said("settings_not_reloaded")) == 1
