"""Many files, good and bad, while prompts come and processes die; run by `make soak`."""

import os
import secrets
import sys
import time
from pathlib import Path
from random import Random
from typing import Final

import pytest

from broker.log.embedded import Running
from tests.faults.deployment import wait_until
from tests.faults.process_faults import CLASSIFIER, WORKER, kill
from tests.settings.rewriting import OF_CALLS, WITHIN_S, Rewriting, rewriting

RUNS = int(os.environ.get("SOAK_RUNS", "20"))
SEED = os.environ.get("SOAK_SEED") or secrets.token_hex(4)
PER_RUN: Final = 40


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_many_files_good_and_bad_with_kills_between(
    kafka: Running, prefix: str, tmp_path: Path
) -> None:
    chance = Random(SEED)
    with rewriting(kafka, prefix, tmp_path, good_file(chance, PER_RUN), rate=40.0) as there:
        rig = there.rig
        rig.deployment.wait_ready(rig.deployment.add_classifier(1))
        for run in range(1, RUNS + 1):
            rig.trial(lambda run=run: muddled(there, chance, run * PER_RUN))  # type: ignore[misc]  # called at once
        rig.expect_exactly_once()
        limit, acme = RUNS * PER_RUN, there.ends("acme")
        # `rate_limited`: the budget that is left is another classifier's, and is lent in a moment.
        assert set(acme) <= {"succeeded", "budget_exhausted", "rate_limited"}
        assert 0.95 * limit <= acme["succeeded"] <= 1.02 * limit + 1
        assert set(there.ends("bank")) == set(there.ends("free")) == {"succeeded"}
        taken, wrong = (
            sum(there.counts(event).values())
            for event in ("settings_taken", "settings_not_reloaded")
        )
        sys.stdout.write(f"\nseed {SEED}: {acme}, {taken} times taken, {wrong} times wrong\n")


def muddled(there: Rewriting, chance: Random, limit: int) -> None:
    """Files of all kinds, and at last a good one with this limit, around a kill."""
    for _ in range(chance.randint(2, 5)):
        good = good_file(chance, limit - chance.randrange(PER_RUN))
        act = chance.choice(("good", "wrong", "empty", "gone", "half", "in place"))
        if act == "good":
            there.becomes(good)
        elif act == "wrong":
            there.becomes(good.replace("requests_per_day", "requests_a_day"))
        elif act == "empty":
            there.becomes("")
        elif act == "gone":
            there.file.unlink(missing_ok=True)
        else:
            there.begins(good)
            if act == "in place":
                there.file.write_text(good, "utf-8")
        time.sleep(chance.uniform(0.0, 3.0))
    there.becomes(good_file(chance, limit))
    victim = chance.choice((None, CLASSIFIER, "classifier-1", WORKER))
    if victim is not None:
        time.sleep(chance.uniform(0.0, 2.0))
        kill(there.rig, victim)
        there.rig.deployment.wait_ready(victim)
    wait_until(
        lambda: there.ends("acme")["succeeded"] >= 0.95 * limit,
        WITHIN_S,
        lambda: f"{limit} of acme: {there.ends('acme')}",
    )


def good_file(chance: Random, limit: int) -> str:
    policy = chance.choice(
        (
            'policy = "fastest"',
            'policy = "pinned"\npinned_to = "google"',
            f'policy = "weighted"\nweights = {{ azure = {chance.randint(1, 9)}, google = 1 }}',
        )
    )
    mode = chance.choice(("fixed", "auto"))
    return (
        f"{OF_CALLS}[lanes]\nmode = '{mode}'\nlight_max = {chance.randint(100, 4_000)}\n"
        f"[tenants.acme]\nrequests_per_day = {limit}\nshare = {chance.randint(1, 9)}\n"
        f"[routing]\n{policy}\n"
    )
