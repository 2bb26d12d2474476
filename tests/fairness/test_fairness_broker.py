"""Tenants and lanes on the real broker: who floods waits, and the others hardly do."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from broker.log.embedded import Running
from broker.log.provider_states import ProviderStatesReader
from tests.faults.answers import Answers
from tests.faults.deployment import wait_until
from tests.quotas.pool import PROVIDER, Pool, pool

SLOTS: Final = 8
CLOUD: Final = {"first_token_s": 0.4, "per_token_s": 0.001, "spread": 0.1, "slots": SLOTS}
FLOOD: Final = 500
QUIET: Final = [f"quiet-{number}" for number in range(10)]


@contextmanager
def served(kafka: Running, prefix: str, folder: Path) -> Iterator[tuple[Pool, Answers]]:
    provider = {"max_in_flight": SLOTS, "adaptive": False}
    with (
        pool(kafka.bootstrap, prefix, folder, provider=provider, cloud=CLOUD) as given,
        Answers(given.deployment.settings) as answers,
    ):
        yield given, answers


def until_answered(answers: Answers, wanted: Collection[str], deadline_s: float = 90.0) -> None:
    wait_until(
        lambda: answers.ids() >= set(wanted),
        deadline_s,
        lambda: f"{len(set(wanted) - answers.ids())} of {len(wanted)} answers",
    )


def answered(answers: Answers, name: str) -> int:
    return sum(identity.startswith(name) for identity in answers.ids())


def test_a_tenant_that_floods_waits_and_the_quiet_ones_go_between(
    kafka: Running, prefix: str, tmp_path: Path
) -> None:
    """In the order of their coming the quiet ones would be the last."""
    with served(kafka, prefix, tmp_path) as (given, answers):
        given.give(FLOOD, name="noisy", tenant="noisy", max_output_tokens=50)
        wait_until(lambda: answered(answers, "noisy") > 10, 60, "the flood is being served")
        for tenant in QUIET:
            given.give(2, name=f"{tenant}-", tenant=tenant, max_output_tokens=50)
        until_answered(answers, [f"{tenant}-{number}" for tenant in QUIET for number in range(2)])
        assert answered(answers, "noisy") < 0.8 * FLOOD


def test_light_ones_pass_a_flood_of_heavy_ones_whose_wait_is_shown(
    kafka: Running, prefix: str, tmp_path: Path
) -> None:
    heavy = 120
    with served(kafka, prefix, tmp_path) as (given, answers):
        reader = ProviderStatesReader(given.deployment.settings)
        reader.start()
        try:
            given.give(heavy, name="heavy", max_output_tokens=2_500)
            wait_until(lambda: answered(answers, "heavy") > 2, 60, "heavy ones are being served")
            given.give(30, name="light", max_output_tokens=50)
            until_answered(answers, [f"light{number}" for number in range(30)])
            assert answered(answers, "heavy") < 0.8 * heavy

            def shown() -> bool:
                states = reader.snapshot().get(PROVIDER, ())
                return any(state.oldest_wait_s.get("heavy", 0.0) > 1.0 for state in states)

            wait_until(shown, 30, "how long the oldest heavy one waits")
        finally:
            reader.close()


@pytest.mark.soak
@pytest.mark.timeout(400)
def test_heavy_and_batch_end_while_light_ones_flood(
    kafka: Running, prefix: str, tmp_path: Path
) -> None:
    with served(kafka, prefix, tmp_path) as (given, answers):
        given.give(2_000, name="light", max_output_tokens=50)
        wait_until(lambda: answered(answers, "light") > 10, 60, "light ones are being served")
        given.give(4, name="heavy", max_output_tokens=2_500)
        given.give(4, name="batch", priority="batch", timeout_s=60, max_output_tokens=50)
        until_answered(answers, [f"{name}{n}" for name in ("heavy", "batch") for n in range(4)])
        ended = [answers.of(f"batch{number}")[0].status for number in range(4)]
        assert ended == ["succeeded"] * 4
        assert answered(answers, "light") < 1_800
