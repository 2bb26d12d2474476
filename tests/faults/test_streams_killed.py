"""Streams under way while workers are killed and clouds cut them: one completion, and its text."""

import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from broker.log.embedded import Running
from tests.faults.deployment import wait_until
from tests.faults.process_faults import WORKER, kill
from tests.faults.rig import Rig, fault_settings, rigged
from tests.faults.streamed import expect_same_texts

KILLS = 2
CUTS = 8


@pytest.fixture
def rig(kafka: Running, prefix: str, tmp_path: Path) -> Iterator[Rig]:
    # Slower than in other trials, so that streams are under way whenever something is done to them.
    settings = fault_settings(
        kafka.bootstrap, prefix, simulator={"speed": 4.0}, topics={"chunks": 3}
    )
    with rigged(settings, tmp_path, rate=30.0, fields={"stream": True}) as made:
        yield made


def test_workers_killed_and_calls_cut_in_the_middle_of_streams(rig: Rig) -> None:
    chance, simulator = Random(11), rig.deployment.simulator

    def cuts() -> int:
        return int(simulator.served("azure")["azure"]["outcomes"].get("cut_streams", 0))

    def killed() -> None:
        for _ in range(KILLS):
            time.sleep(chance.uniform(0.5, 1.0))
            kill(rig, WORKER)
            rig.deployment.wait_ready(WORKER)

    def cut() -> None:
        simulator.set_faults("azure", {"cut_streams": 0.2, "malformed": 0.05})
        wait_until(lambda: cuts() >= CUTS, 40, "the cloud cuts streams")
        simulator.clear_faults()

    rig.trial(killed)
    rig.trial(cut)
    verdict = rig.expect_exactly_once()
    found = expect_same_texts(rig.deployment.settings, unfinished=2 * KILLS)
    for one in found.values():
        times = [call.began_at for call in one.calls]
        assert times == sorted(times)
    assert verdict.repeated_calls > 0
    # After a kill the journal calls it the same attempt once more; a reader tells the calls apart.
    again = [one.calls for one in found.values() if one.repeated]
    assert again, "no stream was under way when its worker was killed"
    assert any(len({call.attempt for call in calls}) < len(calls) for calls in again)
    cut_off = [one.calls for one in found.values() if one.voided and not one.repeated]
    assert cut_off, "no stream was cut after its first pieces"
    for calls in cut_off:
        assert [call.attempt for call in calls] == list(range(1, len(calls) + 1))
