"""Clouds that become slow, or come back, on a real broker: where their work goes."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from itertools import pairwise
from math import inf
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from broker.core.provider_facts import facts_of
from broker.log.embedded import Running
from broker.log.provider_states import ProviderStatesReader
from broker.log.topic_names import TopicNames
from broker.records.providers import ProviderState
from broker.records.work import RouteStep, Work, decode_work
from broker.settings import Settings
from broker.story.log_reader import LogReader
from tests.faults.deployment import wait_until
from tests.faults.rig import Rig, fault_settings, rigged

CALL_S = 0.2
SLOTS = 8
SPEED = SLOTS / CALL_S
"""Prompts a second that one cloud answers."""
SLOW_S = 24.0
"""What a call takes there once it is slow."""
LIMIT_S = 2.0
AT_ONCE_S = 0.05
PROMPT: Mapping[str, Any] = {"prompt": "Why is the sky blue?", "max_output_tokens": 40}


def two_clouds(bootstrap: str, prefix: str) -> Settings:
    cloud = {"first_token_s": CALL_S, "per_token_s": 0.0, "spread": 0.1, "slots": 64}
    provider = {"max_in_flight": SLOTS, "adaptive": False, "first_byte_s": 2 * SLOW_S}
    return fault_settings(
        bootstrap,
        prefix,
        providers={
            name: {"models": {"chat-small": model}, **provider}
            for name, model in {"azure": "gpt-5-mini", "google": "gemini-3-flash"}.items()
        },
        simulator={"speed": 1.0, "clouds": {"azure": cloud, "google": cloud}},
        routing={"light_wait_s": LIMIT_S, "medium_wait_s": LIMIT_S, "heavy_wait_s": LIMIT_S},
    )


def works(rig: Rig, provider: str) -> list[Work]:
    """Every work record that ever came to a provider."""
    settings = rig.deployment.settings
    with LogReader(settings) as reader:
        spans = reader.spans(TopicNames(settings.kafka.prefix).work(provider))
        return [decode_work(one.value()) for batch in reader.read(spans) for one in batch]


def wait_answered(rig: Rig, ids: list[str], deadline_s: float, *, but: int = 0) -> None:
    wait_until(
        lambda: len(rig.answers.ids() & set(ids)) >= len(ids) - but,
        deadline_s,
        lambda: f"{len(rig.answers.ids() & set(ids))} of {len(ids)} answers",
    )


def test_work_that_waits_at_a_cloud_that_became_slow_is_done_by_another(
    kafka: Running, prefix: str, tmp_path: Path
) -> None:
    with rigged(two_clouds(kafka.bootstrap, prefix), tmp_path) as rig:
        wait_answered(rig, rig.traffic.burst(60, **PROMPT), 40)
        rig.deployment.simulator.set_capacity("azure", speed=CALL_S / SLOW_S)
        pinned = rig.traffic.burst(SLOTS, **PROMPT, provider="azure")
        wait_until(
            lambda: len({work.id for work in works(rig, "azure")} & set(pinned)) == SLOTS,
            20,
            "calls that hang",
        )
        ids = rig.traffic.burst(int(0.9 * LIMIT_S * SPEED), **PROMPT)
        # Sooner than one call of the slow one: what waited there has left.
        wait_answered(rig, ids, 0.75 * SLOW_S, but=SLOTS)
        rig.deployment.simulator.reset_capacity("azure")
        moved = [work for work in works(rig, "google") if work.moves]
        assert moved
        codes = Counter(work.route[-1].code for work in moved)
        assert codes["behind"] == len(moved), codes
        for work in moved:
            assert [step.provider for step in work.route] == ["azure", "google"]
            assert work.route[-1].reason.startswith("azure is behind with a wait of ")
            assert {note["provider"] for note in work.route[-1].candidates} == {"azure", "google"}
        wait_answered(rig, [*ids, *pinned], 2 * SLOW_S)
        rig.expect_exactly_once()


def counted_for(decided: list[Work], reports: Sequence[ProviderState]) -> float:
    """As how many prompts a classifier counts one that it sends to azure.

    By how much longer it takes the wait there to be when it decides on the next one, at once and by
    the same reports. It has one partition of the prompts.
    """
    in_turn = sorted((w for w in decided if not w.moves), key=lambda w: astuple(w.source))
    found = []
    for work, following in pairwise(in_turn):
        sent, step = work.route[0], following.route[0]
        if (
            sent.provider == "azure"
            and work.source.partition == following.source.partition
            and 0.0 <= step.at - sent.at < AT_ONCE_S
        ):
            facts = facts_of(reports, now=step.at, observing_since=0.0, silent_after_s=inf)
            longer_s = told_wait(step) - told_wait(sent)
            found.append(longer_s * facts.taken_speed / work.weight)
    return median(found)


def told_wait(step: RouteStep) -> float:
    (azure,) = (note for note in step.candidates if note["provider"] == "azure")
    wait_s: float = azure["wait_s"]
    return wait_s


@pytest.mark.soak
def test_four_classifiers_do_not_flood_a_provider_that_has_just_come_back(
    kafka: Running, prefix: str, tmp_path: Path
) -> None:
    with rigged(two_clouds(kafka.bootstrap, prefix), tmp_path) as rig:
        deployment = rig.deployment
        deployment.wait_ready(*(deployment.add_classifier(slot) for slot in (1, 2, 3)))
        wait_answered(rig, rig.traffic.burst(80, **PROMPT), 40)
        states = ProviderStatesReader(deployment.settings)
        states.start()

        def breaker(wanted: str) -> bool:
            found = states.snapshot().get("azure", ())
            return bool(found) and all(state.breaker == wanted for state in found)

        try:
            deployment.simulator.set_faults("azure", {"outages": [{"to_s": 600.0}]})
            ids = rig.traffic.burst(30, **PROMPT)
            wait_until(lambda: breaker("open"), 30, "the breaker opens")
            deployment.simulator.clear_faults()
            rig.traffic.start()
            wait_until(lambda: breaker("closed"), 60, "the breaker closes")
            rig.traffic.stop()
            began, reports = time.time(), states.snapshot()["azure"]
            many = rig.traffic.burst(int(8 * LIMIT_S * SPEED), **PROMPT)
            wait_answered(rig, [*ids, *many], 90)
        finally:
            states.close()
        first = [w for w in works(rig, "azure") if w.id in set(many) and not w.moves]
        at_once = [work for work in first if work.route[0].at < began + 2.0]
        # As fast as ever, it would get half of them.
        assert len(at_once) < 2.0 * LIMIT_S * SPEED, len(at_once)
        assert first, "it is never used again"
        decided = [work for name in ("azure", "google") for work in works(rig, name)]
        counted = counted_for([work for work in decided if work.id in set(many)], reports)
        assert counted > 2.0, f"each counts what it sends for what {counted:.1f} send"
        rig.expect_exactly_once()
