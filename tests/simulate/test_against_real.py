"""What `simulate` says is what a real deployment with the simulator's clouds does."""

from pathlib import Path

import pytest

from broker.log.embedded import Running
from tests.simulate.really import Both, differences, few_places, run_both, worst

ALLOWED = 0.20


def expect_alike(both: Both, *, compared: int) -> None:
    real = both.of_log["policies"]["as it was"]
    assert real["statuses"] == {"succeeded": real["prompts"]}
    of_trace = differences(real, both.of_trace["policies"]["settings"])
    of_log = differences(real, both.of_log["policies"]["settings"])
    assert len(of_trace) == len(of_log) >= compared, real["lanes"]
    assert worst(of_trace) < ALLOWED, (of_trace, real["lanes"])
    assert worst(of_log) < ALLOWED, (of_log, real["lanes"])


def test_a_short_trace_through_processes_and_through_simulate(
    kafka: Running, prefix: str, tmp_path: Path
) -> None:
    settings = few_places(kafka.bootstrap, prefix)
    expect_alike(run_both(settings, tmp_path, prompts=100, speed=2.0), compared=3)


@pytest.mark.soak
@pytest.mark.timeout(400)
def test_a_longer_trace_through_processes_and_through_simulate(
    kafka: Running, prefix: str, tmp_path: Path
) -> None:
    settings = few_places(kafka.bootstrap, prefix)
    expect_alike(run_both(settings, tmp_path, prompts=600, speed=1.5), compared=4)
