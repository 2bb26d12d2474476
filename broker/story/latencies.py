"""Quantiles of latencies in bounded memory: a histogram whose bounds grow by 2%."""

import math
from collections import Counter
from typing import Final

_GROWTH: Final = math.log(1.02)
_LONGEST_MS: Final = 1e10
QUANTILES: Final = {"p50": 0.50, "p95": 0.95, "p99": 0.99}


class Latencies:
    """Milliseconds, whole ones; a quantile is right to within 1%. About 1,200 counters at most."""

    __slots__ = ("_counts", "count")

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self.count = 0

    def add(self, ms: float) -> None:
        """Take note of one; below 1 ms counts as 0."""
        self.count += 1
        bucket = -1 if ms < 1 else int(math.log(min(ms, _LONGEST_MS)) / _GROWTH)
        self._counts[bucket] += 1

    def quantile(self, share: float) -> int | None:
        """The latency that this share of all is not above; None when there are none."""
        if not self.count:
            return None
        wanted = max(1, math.ceil(share * self.count))
        seen, bucket = 0, -1
        for bucket in sorted(self._counts):
            seen += self._counts[bucket]
            if seen >= wanted:
                break
        return 0 if bucket < 0 else round(math.exp((bucket + 0.5) * _GROWTH))

    def summary(self) -> dict[str, int | None]:
        """`p50`, `p95` and `p99` in milliseconds, as the contract's `latency_ms`."""
        return {name: self.quantile(share) for name, share in QUANTILES.items()}
