"""Slices of a quarter of a second, with what began in each, by partition of the prompts. Pure."""

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from broker.core.limit_room import Sums, add
from broker.core.tenant_limits import MINUTE_S

SLICE_S: Final = 0.25

Slices = dict[int, dict[int, Sums]]
"""By the number of the slice, and by partition."""


def put(slices: Slices, key: int, partition: int, amounts: Sequence[float]) -> None:
    """Add to a slice."""
    add(slices.setdefault(key, {}).setdefault(partition, [0.0, 0.0, 0.0]), amounts)


def leaves(key: int) -> float:
    """When all of a slice lies more than a minute back (unix seconds)."""
    return (key + 1) * SLICE_S + MINUTE_S


def most_within(
    parts: Sequence[Slices], partitions: Collection[int], at: float
) -> Mapping[int, Sums]:
    """The most that slices have within any minute that ends `at` or later, by partition."""
    found: dict[int, Sums] = {}
    sums: dict[int, Sums] = {}
    within: deque[tuple[int, int, Sums]] = deque()
    for key in sorted({key for slices in parts for key in slices}):
        if leaves(key) <= at:
            continue
        while within and leaves(within[0][0]) <= key * SLICE_S:
            _, partition, (requests, tokens, usd) = within.popleft()
            add(sums[partition], (-requests, -tokens, -usd))
        for slices in parts:
            for partition, amounts in slices.get(key, {}).items():
                if partition in partitions:
                    within.append((key, partition, amounts))
                    total = sums.setdefault(partition, [0.0, 0.0, 0.0])
                    add(total, amounts)
                    most = found.setdefault(partition, [0.0, 0.0, 0.0])
                    most[:] = map(max, most, total)
    return found
