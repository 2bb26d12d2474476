"""The calls at once of a worker against the simulator's process, whose places change."""

import statistics
import time
from pathlib import Path

from broker.log.embedded import Running
from broker.log.provider_states import ProviderStatesReader
from tests.faults.deployment import wait_until
from tests.quotas.pool import PROVIDER, pool

SLOTS = 24
FEWER = 8
QUICK = {"first_token_s": 0.25, "per_token_s": 0.002, "spread": 0.2, "slots": SLOTS, "queue": 500}


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
