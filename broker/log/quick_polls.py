"""Taking what a consumer has as soon as there is something."""

from typing import Any


def poll_at_once(consumer: Any, wait_s: float, most: int) -> list[Any]:
    """What has come, up to `most` messages or errors; waits for the first so long at most.

    `consume` alone would wait the whole time for a full batch.
    """
    first = consumer.poll(wait_s)
    return [] if first is None else [first, *consumer.consume(most - 1, 0.0)]
