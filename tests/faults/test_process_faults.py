"""Our processes killed, stopped, added and taken away under load: nothing lost, nothing twice."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from broker.log.embedded import Running
from tests.faults import process_faults
from tests.faults.process_faults import PAST_SESSION_S
from tests.faults.rig import Rig, fault_settings, rigged


@pytest.fixture
def rig(kafka: Running, prefix: str, tmp_path: Path) -> Iterator[Rig]:
    with rigged(fault_settings(kafka.bootstrap, prefix), tmp_path) as made:
        yield made


def test_a_worker_and_then_the_classifier_killed_under_load(rig: Rig) -> None:
    rig.trial(lambda: process_faults.worker_killed(rig, Random(1)))
    rig.trial(lambda: process_faults.classifier_killed(rig, Random(1)))
    rig.expect_exactly_once()


def test_both_killed_again_and_again_also_while_they_start(rig: Rig) -> None:
    rig.trial(lambda: process_faults.both_killed_in_a_loop(rig, Random(2)))
    rig.expect_exactly_once()


def test_a_worker_stopped_past_its_session_is_fenced_when_it_goes_on(rig: Rig) -> None:
    rig.trial(lambda: process_faults.worker_stopped(rig, Random(3), seconds=PAST_SESSION_S))
    rig.expect_exactly_once()


def test_a_classifier_stopped_past_its_session_is_fenced_when_it_goes_on(rig: Rig) -> None:
    rig.trial(lambda: process_faults.classifier_stopped(rig, Random(4), seconds=PAST_SESSION_S))
    rig.expect_exactly_once()


def test_a_second_worker_and_a_second_classifier_join_and_leave_under_load(rig: Rig) -> None:
    rig.trial(lambda: process_faults.worker_joins_and_leaves(rig, Random(5)))
    rig.trial(lambda: process_faults.classifier_joins_and_leaves(rig, Random(5)))
    rig.expect_exactly_once()
