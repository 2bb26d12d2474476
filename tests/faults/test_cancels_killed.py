"""Cancels that race with answers and with kills: one end each, cancelled or succeeded."""

import os
import secrets
import sys
from pathlib import Path
from random import Random

import pytest

from broker.log.embedded import Running
from tests.faults.cancel_faults import expect_either_end, killed_around_cancels
from tests.faults.rig import fault_settings, rigged

RUNS = int(os.environ.get("SOAK_RUNS", "20"))
SEED = os.environ.get("SOAK_SEED") or secrets.token_hex(4)


def trials(
    kafka: Running, prefix: str, folder: Path, chance: Random, *, runs: int, rounds: int
) -> str:
    # Slow enough that calls are under way, and work waits, whenever something is done.
    settings = fault_settings(kafka.bootstrap, prefix, simulator={"speed": 4.0})
    asked: set[str] = set()
    with rigged(settings, folder, rate=40.0) as rig:
        for _ in range(runs):
            rig.trial(lambda: asked.update(killed_around_cancels(rig, chance, rounds)))
        verdict = rig.expect_exactly_once()
        cancelled = expect_either_end(rig, asked)
        assert 0 < cancelled <= len(asked)
        return f"{verdict.accepted} prompts, {len(asked)} to cancel, {cancelled} cancelled"


@pytest.mark.timeout(300)
def test_one_end_each_whoever_is_killed_around_the_cancel(
    kafka: Running, prefix: str, tmp_path: Path
) -> None:
    trials(kafka, prefix, tmp_path, Random(7), runs=1, rounds=2)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_one_end_each_in_many_trials(kafka: Running, prefix: str, tmp_path: Path) -> None:
    told = trials(kafka, prefix, tmp_path, Random(SEED), runs=RUNS, rounds=4)
    sys.stdout.write(f"\nseed {SEED}: {told}\n")
