"""Whether so much more fits into one classifier's part of a limit, and into all of it. Pure."""

from collections.abc import Sequence
from typing import Final

from broker.core.tenant_limits import Amounts, Bounds

SLACK: Final = 0.01
"""A classifier may pass its own share by so much of it while the whole limit is not reached: that
bounds what all together may be over, however late they hear of each other."""
_ROUNDING: Final = 1e-9

Sums = list[float]
"""Requests, tokens, US dollars, to be added to."""


def blocked(
    own: Sums,
    everyone: Sums,
    amounts: Amounts,
    bounds: Bounds,
    share: float,
    *,
    later: Sequence[float] = (0.0, 0.0, 0.0),
) -> int | None:
    """The first dimension in which so much more does not fit; None when all of it fits.

    `own` was used through the partitions of this classifier, `everyone` through all of them, and
    `later` is what others begin after this. What is larger than the whole share fits when nothing
    of the share is used, if there is room in all.
    """
    for number, bound in enumerate(bounds):
        if bound is None:
            continue
        cost = amounts[number]
        left = bound * (1.0 + _ROUNDING) - everyone[number] - cost
        if left < 0:
            return number
        part = bound * share
        if own[number] + cost <= part * (1.0 + SLACK) + _ROUNDING:
            continue
        if cost <= part or own[number] > _ROUNDING or left < later[number]:
            return number
    return None


def add(to: Sums, amounts: Sequence[float]) -> None:
    """Add in place."""
    to[0] += amounts[0]
    to[1] += amounts[1]
    to[2] += amounts[2]
