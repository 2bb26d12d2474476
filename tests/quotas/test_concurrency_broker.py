"""The calls at once of a worker against the simulator's process, whose places change."""

import statistics
import time
from pathlib import Path

import pytest

from broker.log.embedded import Running
from broker.log.provider_states import ProviderStatesReader
from tests.faults.deployment import wait_until
from tests.quotas.pool import PROVIDER, pool

SLOTS = 24
FEWER = 8
QUICK = {"first_token_s": 0.25, "per_token_s": 0.002, "spread": 0.2, "slots": SLOTS, "queue": 500}

LONG = {"first_token_s": 1.2, "per_token_s": 0.03, "spread": 0.2, "slots": SLOTS, "queue": 500}
"""Three seconds for an answer of 60 tokens: all that began after a fall are yet to end by then."""


def slots_over(reader: ProviderStatesReader, seconds: float) -> list[int]:
    """What the worker said that it may have under way, looked at ten times a second."""
    seen: list[int] = []
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        seen += [state.slots for state in reader.snapshot().get(PROVIDER, ())]
        time.sleep(0.1)
    return seen


def test_a_worker_finds_the_places_of_its_provider_and_gives_way_when_they_are_fewer(
    kafka: Running, prefix: str, tmp_path: Path
) -> None:
    provider = {"max_in_flight": 128}
    with pool(kafka.bootstrap, prefix, tmp_path, provider=provider, cloud=QUICK) as given:
        reader = ProviderStatesReader(given.deployment.settings)
        reader.start()
        try:
            given.give(3_000, max_output_tokens=60)
            given.wait_accepted(500, 60)
            found = slots_over(reader, 6.0)
            assert 0.6 * SLOTS <= statistics.median(found) <= 1.4 * SLOTS, found
            given.set_capacity(slots=FEWER)
            wait_until(lambda: slots_over(reader, 0.2)[-1] <= 2 * FEWER, 20, "the limit falls")
            left = slots_over(reader, 5.0)
            assert statistics.median(left) <= 2 * FEWER, left
        finally:
            reader.close()


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_long_calls_that_wait_are_noticed_before_they_end(
    kafka: Running, prefix: str, tmp_path: Path
) -> None:
    provider = {"max_in_flight": 64}
    with pool(kafka.bootstrap, prefix, tmp_path, provider=provider, cloud=LONG) as given:
        reader = ProviderStatesReader(given.deployment.settings)
        reader.start()
        try:
            given.give(3_000, max_output_tokens=60)
            # Until it has found the places, and knows how far calls of this length are apart.
            given.wait_accepted(500, 150)
            found = slots_over(reader, 3.0)
            assert 0.6 * SLOTS <= statistics.median(found) <= 1.5 * SLOTS, found
            given.set_capacity(slots=FEWER)
            fell = time.monotonic()
            wait_until(lambda: slots_over(reader, 0.2)[-1] <= 2 * FEWER, 20, "the limit falls")
            # On a machine of its own 3 to 5 s; what a busy one adds is not for this to say.
            assert time.monotonic() - fell <= 12
        finally:
            reader.close()
