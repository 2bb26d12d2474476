"""How long a prompt of a lane waits behind what waits in all lanes. Pure.

`broker.core.slots` shares a worker's slots between the lanes; seen from afar that is a fluid: each
lane with work gets its part of the speed, and what a lane has no use for flows to the others, but
for the slots that are kept for light prompts.
"""

from collections.abc import Sequence
from typing import Final

from broker.core.lanes import LANES, Lane

PLACE: Final[dict[Lane, int]] = {lane: place for place, lane in enumerate(LANES)}
"""Where a lane stands in what is given by lane here: light, medium, heavy, batch."""
_LIGHT: Final = 0.55
_OTHER: Final = 0.225
_BATCH: Final = 0.04
_SHARES: Final = (_LIGHT, _OTHER, _OTHER, _BATCH)
"""Of the speed while all lanes wait: a quarter is kept for light ones, and of the rest light,
medium and heavy ones have 4, 3 and 3 parts; batch one start of twenty or so."""
_OPEN: Final = 0.75
"""The part of the speed that is not kept for light ones."""


def lane_wait(waiting: Sequence[float], lane: Lane, speed: float) -> float:
    """Seconds until what waits in this lane has begun, at so many token units a second.

    `waiting` is the weight by lane, in token units, in the order of LANES; `speed` is over 0.
    """
    mine = waiting[PLACE[lane]]
    if mine <= 0.0:
        return 0.0
    light, medium, heavy, batch = waiting
    # Lanes that all wait are served in proportion to their shares: by when this one has had its
    # own, each other one has had as much for its share, or all that it had.
    by_share = mine / _SHARES[PLACE[lane]]
    beside_light = min(by_share, light / _LIGHT)
    first = (
        min(light, _LIGHT * beside_light)
        + min(medium, _OTHER * beside_light)
        + min(heavy, _OTHER * beside_light)
        + min(batch, _BATCH * beside_light)
    )
    if beside_light >= by_share:
        return first / speed
    whole = (
        light
        + min(medium, _OTHER * by_share)
        + min(heavy, _OTHER * by_share)
        + min(batch, _BATCH * by_share)
    )
    return (first + (whole - first) / _OPEN) / speed
