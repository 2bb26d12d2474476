"""Our processes killed, stopped, added and taken away under load: nothing lost, nothing twice."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import pytest

from broker.log.embedded import Running
from tests.faults import process_faults
from tests.faults.process_faults import PAST_SESSION_S
from tests.faults.rig import Rig, fault_settings, rigged

pytestmark = pytest.mark.timeout(240)
"""Several faults of one deployment in a test, on a machine that may be busy."""


@pytest.fixture
def rig(kafka: Running, prefix: str, tmp_path: Path) -> Iterator[Rig]:
    with rigged(fault_settings(kafka.bootstrap, prefix), tmp_path) as made:
        yield made


def test_worker_and_classifier_killed_under_load_then_again_and_again_also_while_they_start(
    rig: Rig,
) -> None:
    rig.trial(lambda: process_faults.worker_killed(rig, Random(1)))
    rig.trial(lambda: process_faults.classifier_killed(rig, Random(1)))
    rig.trial(lambda: process_faults.both_killed_in_a_loop(rig, Random(2)))
    rig.expect_exactly_once()


def test_a_worker_and_a_classifier_stopped_past_their_sessions_are_fenced_when_they_go_on(
    rig: Rig,
) -> None:
    rig.trial(lambda: process_faults.worker_stopped(rig, Random(3), seconds=PAST_SESSION_S))
    rig.trial(lambda: process_faults.classifier_stopped(rig, Random(4), seconds=PAST_SESSION_S))
    rig.expect_exactly_once()


def test_a_second_worker_and_a_second_classifier_join_and_leave_under_load(rig: Rig) -> None:
    def both_at_once() -> None:
        joining = (
            process_faults.worker_joins_and_leaves,
            process_faults.classifier_joins_and_leaves,
        )
        with ThreadPoolExecutor() as threads:
            for ended in [threads.submit(join, rig, Random(5)) for join in joining]:
                ended.result()

    rig.trial(both_at_once)
    rig.expect_exactly_once()
