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
_SHARES: Final = (0.55, 0.225, 0.225, 0.04)
"""Of the speed while all lanes wait: a quarter is kept for light ones, and of the rest light,
medium and heavy ones have 4, 3 and 3 parts; batch one start of twenty or so."""
_OPEN: Final = 0.75
"""The part of the speed that is not kept for light ones."""
_LEAST_S: Final = 1e-6
"""What is left by rounding, in seconds of work."""


def lane_wait(waiting: Sequence[float], lane: Lane, speed: float) -> float:
    """Seconds until what waits in this lane has begun, at so many token units a second.

    `waiting` is the weight by lane, in token units, in the order of LANES; `speed` is over 0.
    """
    mine = PLACE[lane]
    least = _LEAST_S * speed
    left = [weight if weight > least else 0.0 for weight in waiting]
    took = 0.0
    while left[mine]:
        parts = sum(_SHARES[place] for place in range(4) if left[place] > 0)
        usable = speed if left[0] > 0 else speed * _OPEN
        rates = [usable * share / parts for share in _SHARES]
        step = min(left[place] / rates[place] for place in range(4) if left[place] > 0)
        mine_takes = left[mine] / rates[mine]
        if mine_takes <= step:
            return took + mine_takes
        took += step
        for place in range(4):
            left[place] -= rates[place] * step
            if left[place] <= least:
                left[place] = 0.0
    return took
