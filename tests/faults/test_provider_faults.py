"""Clouds that turn calls away or are down: work moves with its reasons, and nothing is lost."""

import time
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from broker.log.embedded import Running
from broker.log.topic_names import TopicNames
from broker.records.calls import decode_call
from broker.story.log_reader import LogReader
from tests.faults import provider_faults
from tests.faults.oracle import Verdict
from tests.faults.provider_faults import AFTER_OUTAGE_S, RETRY_FLOOR, RETRY_SHARE
from tests.faults.rig import Rig, fault_settings, rigged

pytestmark = pytest.mark.timeout(240)
"""Several faults of one deployment in a test, on a machine that may be busy."""

BACK_S = 60.0


def test_a_storm_of_429_costs_few_retries_and_work_leaves_a_provider_that_is_down_until_it_is_back(
    kafka: Running, prefix: str, tmp_path: Path
) -> None:
    with rigged(fault_settings(kafka.bootstrap, prefix), tmp_path) as rig:
        over: list[float] = []

        def storm() -> None:
            provider_faults.storm_of_429(rig, Random(8))
            over.append(time.time())

        def out_and_back() -> None:
            ended = provider_faults.one_provider_out(rig, Random(9)).ended
            # A probe comes after 12 s at the latest; the figures of this are the soak test's.
            provider_faults.wait_used_again(rig, "azure", ended, BACK_S)

        rig.trial(storm)
        in_storm = set(rig.traffic.accepted)
        rig.trial(out_and_back)
        verdict = rig.expect_exactly_once()
        assert _statuses(rig) == {"succeeded"}
        for provider, (calls, retries) in _calls(rig, until=over[0]).items():
            assert calls > RETRY_FLOOR / RETRY_SHARE, "there was no storm"
            assert retries <= max(RETRY_FLOOR, RETRY_SHARE * calls), (provider, calls, retries)
        _expect_moved(rig, rig.answers.ids() - in_storm, verdict)


def _expect_moved(rig: Rig, ids: set[str], verdict: Verdict) -> None:
    """Some of these were moved while their provider was down, and say so."""
    moved = [seen for i in ids for seen in rig.answers.of(i) if len(seen.route) > 1]
    assert moved, "nothing was moved while its provider was down"
    assert verdict.audit.figures.counts["moves"] >= len(moved)
    for seen in moved:
        assert seen.provider == "google"
        assert seen.route[-1].startswith("azure "), seen.route


def test_when_all_providers_are_down_prompts_wait_or_fail_with_their_whole_route(
    kafka: Running, prefix: str, tmp_path: Path
) -> None:
    settings = fault_settings(kafka.bootstrap, prefix)
    # Both have calls all the time: what may be tried again is a share of a provider's own calls.
    with rigged(settings, tmp_path, pin="google") as rig:
        rig.trial(
            lambda: provider_faults.all_providers_out(rig, Random(10)), after_s=AFTER_OUTAGE_S
        )
        rig.expect_exactly_once()
        for identity in rig.answers.ids():
            (seen,) = rig.answers.of(identity)
            if seen.status != "succeeded":
                assert seen.status == "failed"
                assert seen.code
                assert seen.calls >= 1
                assert seen.route


def _statuses(rig: Rig) -> set[str]:
    return {seen.status for identity in rig.answers.ids() for seen in rig.answers.of(identity)}


def _calls(rig: Rig, *, until: float) -> dict[str, tuple[int, int]]:
    """Calls and retries in place by provider until then, as the journal has them.

    Once a storm is over, what still waits may be tried again as its provider proves to be back.
    """
    starts: Counter[tuple[str, str]] = Counter()
    with LogReader(rig.deployment.settings) as reader:
        spans = reader.spans(TopicNames(rig.deployment.settings.kafka.prefix).calls)
        for batch in reader.read(spans):
            events = [decode_call(message.value()) for message in batch]
            starts.update(
                (e.provider, e.id) for e in events if e.event == "started" and e.at < until
            )
    found = {}
    for provider in rig.deployment.settings.providers:
        of_id = [count for (name, _), count in starts.items() if name == provider]
        found[provider] = (sum(of_id), sum(count - 1 for count in of_id))
    return found
