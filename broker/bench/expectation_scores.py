"""How good expected weights are beside the real ones: three measures. Pure."""

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Hashable, Sequence

from broker.core.lanes import LanePlan, lane_for


def pinball(quantile: float, expected: Sequence[float], real: Sequence[float]) -> float:
    """Mean pinball loss at this quantile, in the unit of the values: the lower the better.

    It is least for whoever always says the quantile of what may come.
    """
    total = 0.0
    for said, came in zip(expected, real, strict=True):
        short = came - said
        total += quantile * short if short > 0 else (quantile - 1.0) * short
    return total / len(real)


def tau_b(first: Sequence[float], second: Sequence[float]) -> float:
    """Kendall's tau-b of two rankings: 1 for the same order, 0 for none, -1 for the reverse.

    Pairs that tie in one of them count for neither side. In O(n log n) (Knight, 1966).
    """
    pairs = sorted(zip(first, second, strict=True))
    whole = _pairs(len(pairs))
    ties_first = _tied(first)
    ties_second = _tied(second)
    ties_both = _tied(pairs)
    swaps = _inversions([one for _, one in pairs])
    # Of the pairs that tie in neither, those not swapped are in the same order.
    same = whole - ties_first - ties_second + ties_both - 2 * swaps
    spread = math.sqrt((whole - ties_first) * (whole - ties_second))
    return same / spread if spread else 0.0


def lane_share(expected: Sequence[int], real: Sequence[int], plan: LanePlan) -> float:
    """The share of prompts whose expected weight leads to the lane of their real one."""
    same = sum(
        lane_for(said, "standard", plan) == lane_for(came, "standard", plan)
        for said, came in zip(expected, real, strict=True)
    )
    return same / len(real)


def _pairs(count: int) -> int:
    return count * (count - 1) // 2


def _tied(values: Sequence[Hashable]) -> int:
    return sum(map(_pairs, Counter(values).values()))


def _inversions(values: Sequence[float]) -> int:
    """Pairs of which the earlier is larger, counted in a tree of sums."""
    order = sorted(set(values))
    sums = [0] * (len(order) + 1)
    inversions = 0
    for seen, value in enumerate(values):
        rank = bisect_left(order, value) + 1
        at, not_larger = rank, 0
        while at:
            not_larger += sums[at]
            at &= at - 1
        inversions += seen - not_larger
        at = rank
        while at < len(sums):
            sums[at] += 1
            at += at & -at
    return inversions
