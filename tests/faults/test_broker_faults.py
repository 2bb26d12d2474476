"""The broker itself killed; commits, and a member's joining, that hang on their way to it."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from broker.log.embedded import EmbeddedKafka
from tests.faults.broker_faults import broker_killed, own_broker
from tests.faults.commit_faults import (
    ANSWER_CUT,
    ANSWER_LATE,
    COMMIT_TOO_LATE,
    CUT_BEFORE,
    CommitHang,
    commit_hangs,
)
from tests.faults.kafka_proxy import KafkaProxy
from tests.faults.process_faults import WORKER, stopped_while_it_joins
from tests.faults.rig import fault_settings, rigged

Broker = tuple[EmbeddedKafka, KafkaProxy]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker that only the tests of this file have, and a proxy before it."""
    with own_broker(tmp_path_factory.mktemp("harmed") / "kafka") as made:
        yield made


def test_the_broker_killed_under_load_and_nobody_else_is_started_again(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    kafka, _ = broker
    with rigged(fault_settings(kafka.start().bootstrap, prefix), tmp_path) as rig:
        rig.trial(lambda: broker_killed(rig, kafka, Random(6)))
        rig.expect_exactly_once()


def test_a_workers_commits_that_hang_are_resolved_whether_they_were_done_or_not(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    _hang(broker, prefix, tmp_path, "worker-azure-0", COMMIT_TOO_LATE, ANSWER_CUT)


def test_a_classifiers_commits_that_hang_are_resolved_whether_they_were_done_or_not(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    _hang(broker, prefix, tmp_path, "classifier-0", ANSWER_LATE, CUT_BEFORE)


def test_a_worker_stopped_while_it_joins_keeps_nothing_that_another_had_meanwhile(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    kafka, proxy = broker
    with rigged(fault_settings(kafka.start().bootstrap, prefix), tmp_path) as rig:
        rig.through_proxy(WORKER, proxy.address)
        rig.trial(lambda: stopped_while_it_joins(rig, proxy, WORKER))
        rig.expect_exactly_once()


def _hang(broker: Broker, prefix: str, folder: Path, name: str, *hangs: CommitHang) -> None:
    kafka, proxy = broker
    with rigged(fault_settings(kafka.start().bootstrap, prefix), folder) as rig:
        rig.through_proxy(name, proxy.address)
        for hang in hangs:
            rig.trial(lambda hang=hang: commit_hangs(rig, proxy, hang, Random(7)), before_s=0.2)  # type: ignore[misc]  # called at once
        rig.expect_exactly_once()
