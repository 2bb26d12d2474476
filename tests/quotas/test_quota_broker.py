"""A limit per minute on a real broker: the provider counts, and workers come and go."""

import math
from pathlib import Path

import pytest

from broker.log.embedded import Running
from tests.quotas.pool import Second, most_over, pool

PER_MINUTE = 600
QUICK = {"first_token_s": 0.05, "per_token_s": 0.0002, "spread": 0.1}
AS_MUCH_AGAIN_S = 2
"""A second's calls may be counted in the one after it, on a machine that is busy."""


def used(history: list[Second], begins: int, ends: int) -> float:
    """The share of the limit that was used between these seconds of the history."""
    return sum(second.accepted for second in history[begins:ends]) / (
        (ends - begins) * PER_MINUTE / 60
    )


def test_two_workers_use_nearly_all_of_a_limit_and_not_more(
    kafka: Running, prefix: str, tmp_path: Path
) -> None:
    cloud = {**QUICK, "requests_per_minute": math.floor(1.02 * PER_MINUTE)}
    provider = {"requests_per_minute": PER_MINUTE}
    with pool(kafka.bootstrap, prefix, tmp_path, provider=provider, cloud=cloud) as given:
        given.give(1_000)
        given.wait_accepted(80, 40)
        second = given.deployment.add_worker("openai", slot=1)
        given.deployment.wait_ready(second)
        given.wait_accepted(given.accepted() + 130, 60)
        history = given.history()
    assert sum(second.refused for second in history) == 0
    rate = PER_MINUTE / 60
    assert most_over(history, 10) <= 1.02 * rate * (10 + AS_MUCH_AGAIN_S)
    assert most_over(history, len(history)) <= 1.02 * rate * (len(history) + 1)
    # The last seconds are those of two workers; the first one's begin after its debt.
    assert used(history, 3, 7) >= 0.85
    assert used(history, len(history) - 9, len(history) - 1) >= 0.85


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_no_minute_has_more_than_the_limit_and_each_has_nearly_all_of_it(
    kafka: Running, prefix: str, tmp_path: Path, workers: int
) -> None:
    minutes = 3
    cloud = {**QUICK, "requests_per_minute": math.floor(1.02 * PER_MINUTE)}
    provider = {"requests_per_minute": PER_MINUTE}
    with pool(kafka.bootstrap, prefix, tmp_path, provider=provider, cloud=cloud) as given:
        for slot in range(1, workers):
            given.deployment.wait_ready(given.deployment.add_worker("openai", slot=slot))
        before = given.accepted()
        given.give((minutes + 2) * PER_MINUTE)
        given.wait_accepted(before + minutes * PER_MINUTE, (minutes + 2) * 60)
        history = given.history()
    assert sum(second.refused for second in history) == 0
    assert most_over(history, 60) <= 1.02 * PER_MINUTE
    for begins in range(5, len(history) - 61):
        assert used(history, begins, begins + 60) >= 0.9
