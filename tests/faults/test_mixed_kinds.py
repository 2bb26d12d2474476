"""Kills and faults with streams, pictures and embeddings under way, in three dialects at once."""

from pathlib import Path
from random import Random

import pytest

from broker.log.embedded import Running
from tests.faults import process_faults
from tests.faults.mixed_kinds import KINDS, RATE, expect_whole_answers, mixed_settings, streams_of
from tests.faults.rig import Rig, rigged
from tests.faults.streamed import expect_same_texts

FAULTS = {"cut_streams": 0.1, "server_errors": 0.05, "rate_limited": 0.05, "retry_after_s": 0.2}
UNFINISHED = 4
"""Streams whose last pieces may have been lost with the one worker that was killed."""


@pytest.mark.timeout(240)
def test_every_kind_survives_kills_and_faults(kafka: Running, prefix: str, tmp_path: Path) -> None:
    settings = mixed_settings(kafka.bootstrap, prefix, tmp_path / "store")
    with rigged(settings, tmp_path, rate=RATE, kinds=KINDS) as rig:
        rig.trial(lambda: process_faults.worker_killed(rig, Random(21)))
        rig.trial(lambda: process_faults.classifier_killed(rig, Random(22)))
        for name in settings.providers:
            rig.deployment.simulator.set_faults(name, FAULTS)
        rig.trial(lambda: _end_faults(rig), before_s=3.0)
        rig.expect_exactly_once()
        found = expect_whole_answers(rig.deployment.settings)
        assert min(found["chat"], found["image"], found["embedding"]) > 0, found
        streams = streams_of(rig.traffic.accepted)
        assert streams
        expect_same_texts(rig.deployment.settings, unfinished=UNFINISHED, of=streams)


def _end_faults(rig: Rig) -> None:
    rig.deployment.simulator.clear_faults()
