"""The settings file is rewritten, also wrongly, while prompts come: the last good one counts."""

import time
from pathlib import Path
from typing import Final

import pytest

from broker.log.embedded import Running
from broker.records.work import Work
from tests.faults.deployment import wait_until
from tests.faults.process_faults import CLASSIFIER, WORKER
from tests.settings.rewriting import (
    OF_CALLS,
    TENANTS,
    WITHIN_S,
    Rewriting,
    metric,
    rewriting,
)

SLOW: Final = 0.1
"""Of the usual speed: then a call takes 0.2 s, and one cloud answers 20 a second."""
SLOWEST: Final = 0.01
"""Two a second, so that the others wait."""
BURST: Final = 40
FIRST: Final = f"""{OF_CALLS}
[tenants.acme]
requests_per_day = 30

[routing]
policy = "weighted"
weights = {{ azure = 1 }}
light_wait_s = 50
medium_wait_s = 50
heavy_wait_s = 50
"""
WRONG: Final = f"""{OF_CALLS}
[tenants.acme]
requests_per_day = "many"

[routing]
policy = "pinned"
pinned_to = "google"
"""
SECOND: Final = f"""{OF_CALLS}
half_life_s = 60
[tenants.acme]
requests_per_day = 60

[routing]
policy = "pinned"
pinned_to = "google"

[lanes]
light_max = 5_000
heavy_min = 9_000
"""
LAST: Final = f"""{OF_CALLS}
half_life_s = 60
[tenants.acme]
requests_per_day = 90

[tenants.bank]
share = 8

[routing]
policy = "fastest"

[routing.tenants.bank]
policy = "pinned"
pinned_to = "azure"
"""


@pytest.mark.timeout(300)
def test_what_the_last_good_file_says_counts_whatever_was_there_while_prompts_came(
    kafka: Running, prefix: str, tmp_path: Path
) -> None:
    with rewriting(kafka, prefix, tmp_path, OF_CALLS) as there:
        rig = there.rig
        classifier, worker = (rig.deployment.members[name] for name in (CLASSIFIER, WORKER))
        rig.traffic.start()
        routed_on(there)
        times = {"first": time.time()}
        there.becomes(FIRST)
        there.until_all_say("settings_taken", 1)

        times["wrong"] = time.time()
        there.becomes(WRONG)
        there.until_all_say("settings_not_reloaded", 1)
        for member in (classifier, worker):
            assert there.reloads(member, "wrong") == 1
            (line,) = there.said(member, "settings_not_reloaded")
            assert "tenants.acme.requests_per_day" in line["why"]
            assert line["then"] == "the settings that were in force stay in force"
        routed_on(there)
        times["wrong ends"] = time.time()

        there.file.unlink()
        there.begins(SECOND)
        there.becomes(SECOND)
        there.until_all_say("settings_taken", 2)
        wait_until(lambda: light_max(there) == 5_000, WITHIN_S, "the lanes")
        times["second"] = time.time()
        routed_on(there)
        times["second ends"] = time.time()

        there.becomes(LAST)
        there.until_all_say("settings_taken", 3)
        wait_until(lambda: light_max(there) == 2_000, WITHIN_S, "the lanes")
        times["last"] = time.time()
        wait_until(lambda: len(charged(there.works())) == 90, WITHIN_S, "the limit")
        routed_on(there)
        rig.traffic.stop()

        assert started_beside(there) < BURST * 0.7, "with a share of 8 it hardly waits for another"
        for member in there.watchers:
            assert there.reloads(member, "taken") == 3
            (told,) = there.said(member, "settings_need_restart")
            assert told["settings"] == ["lengths.half_life_s"]
        rig.expect_exactly_once()
        works, acme = there.works(), there.ends("acme")
        assert len(charged(works)) == 90, "those of before the first limit are not counted"
        assert acme["succeeded"] == len({work.id for work in works if work.tenant == "acme"})
        assert set(acme) == {"succeeded", "budget_exhausted"}
        assert set(there.ends("bank")) == set(there.ends("free")) == {"succeeded"}
        expect_routes(works, times)


def routed_on(there: Rewriting, count: int = 20) -> None:
    """Until so many more have gone the whole way."""
    answers = there.rig.answers
    before = len(answers.ids())
    wait_until(lambda: len(answers.ids()) >= before + count, WITHIN_S, "more answers")


def charged(works: list[Work]) -> set[str]:
    """What counts for the limit."""
    return {work.id for work in works if work.charged is not None}


def light_max(there: Rewriting) -> float:
    classifier = there.rig.deployment.members[CLASSIFIER]
    return metric(classifier, "weighbridge_lane_bound_tokens", bound="light_max")


def expect_routes(works: list[Work], times: dict[str, float]) -> None:
    """Between two of these times only one file was in force."""

    def firsts(after: float, before: float) -> list[Work]:
        return [work for work in works if after < work.route[0].at < before]

    def choices(some: list[Work], *tenants: str) -> set[tuple[str, str]]:
        steps = [work.route[0] for work in some if work.tenant in (tenants or TENANTS)]
        return {(step.provider, step.code) for step in steps}

    start = firsts(0.0, times["first"])
    assert ("azure", "preferred") in choices(start)
    assert "medium" in {work.lane for work in start}
    kept = choices(firsts(times["wrong"], times["wrong ends"]))
    assert ("azure", "weighted") in kept
    assert not kept & {("azure", "preferred"), ("google", "pinned")}, "not even a part of it"
    second = firsts(times["second"], times["second ends"])
    assert choices(second) == {("google", "pinned")}
    assert "medium" not in {work.lane for work in second}
    last = firsts(times["last"], float("inf"))
    assert choices(last, "bank") == {("azure", "pinned")}
    assert "fastest" in {code for _, code in choices(last, "free")}
    assert "medium" in {work.lane for work in last}


def started_beside(there: Rewriting) -> int:
    """How many of `free` begin before the last of `bank` does, of as many at one slow cloud."""
    rig, worker = there.rig, there.rig.deployment.members[WORKER]
    answers, before = rig.answers, set(rig.traffic.accepted)
    wait_until(lambda: answers.ids() >= before, WITHIN_S, "nothing waits")
    rig.deployment.simulator.set_capacity("azure", speed=SLOWEST)
    ids = rig.traffic.burst(
        BURST * len(TENANTS), provider="azure", prompt="Why?", max_output_tokens=5
    )
    by_tenant = {
        tenant: [one for one in ids if rig.traffic.kind_of(one)["tenant"] == tenant]
        for tenant in ("bank", "free")
    }
    wait_until(
        lambda: metric(worker, "weighbridge_waiting_records", lane="light") > BURST,
        WITHIN_S,
        "most of both wait together",
    )
    rig.deployment.simulator.set_capacity("azure", speed=SLOW)
    wait_until(lambda: answers.ids() >= set(by_tenant["bank"]), WITHIN_S, "all of bank")
    last = max(answers.of(one)[0].at for one in by_tenant["bank"])
    rig.deployment.simulator.reset_capacity("azure")
    wait_until(lambda: answers.ids() >= set(ids), WITHIN_S, "the whole burst")
    return sum(answers.of(one)[0].at < last for one in by_tenant["free"])
