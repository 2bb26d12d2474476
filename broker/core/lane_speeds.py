"""How quickly each lane starts work, now and usually, and how long weight takes at that. Pure.

A speed that is far from the usual one holds for a while only: a provider that hangs comes back, or
its work moves, and one that races ahead meets its limits. So it is taken to go back to within 1.3
times the usual one in some tens of seconds. Else the last one of a long queue would be told an
hour whenever a provider halts for a moment.
"""

from collections.abc import Mapping
from math import exp
from typing import Final

from broker.core.lanes import LANES, Lane

_NOW_HALF_S: Final = 10.0
_USUAL_HALF_S: Final = 90.0
_STALE_S: Final = 60.0
_BACK_S: Final = 20.0
"""What sets a speed apart from the usual one is over but for a third after so long."""
_FAR: Final = 1.3
_LEAST: Final = 0.02
"""Of the usual speed: no lane is taken to stand still for ever."""


class LaneSpeeds:
    """Token units a second that each lane starts while work waits in it. Not thread-safe."""

    def __init__(self) -> None:
        self._looked_at: float | None = None
        self._started: dict[Lane, float] = {}
        self._waited: dict[Lane, bool] = {}
        self._now = {lane: [0.0, 0.0] for lane in LANES}
        self._usual = {lane: [0.0, 0.0] for lane in LANES}
        self._known_at: dict[Lane, float] = {}

    def looked(
        self, started: Mapping[Lane, float], waiting: Mapping[Lane, int], now: float
    ) -> None:
        """All that was started so far, by lane, and how many wait now; some times a second.

        What passes between two looks counts where work waited at both.
        """
        passed = 0.0 if self._looked_at is None else now - self._looked_at
        for lane in LANES:
            begun, waits = started.get(lane, 0.0), waiting.get(lane, 0) > 0
            if passed > 0 and waits and self._waited.get(lane, False):
                since = begun - self._started.get(lane, begun)
                for sums, half_s in (
                    (self._now[lane], _NOW_HALF_S),
                    (self._usual[lane], _USUAL_HALF_S),
                ):
                    kept = 0.5 ** (passed / half_s)
                    sums[0] = sums[0] * kept + since
                    sums[1] = sums[1] * kept + passed
                self._known_at[lane] = now
            self._started[lane], self._waited[lane] = begun, waits
        self._looked_at = now

    def of(self, lane: Lane, now: float) -> float | None:
        """The lane's speed now; None where it was not measured for a second in the last minute."""
        weight, seconds = self._now[lane]
        if seconds < 1.0 or now - self._known_at.get(lane, -1e9) > _STALE_S:
            return None
        return weight / seconds or None

    def usual(self, lane: Lane) -> float | None:
        """What it was over the last minutes in which work waited; None where nothing was."""
        weight, seconds = self._usual[lane]
        return weight / seconds if seconds >= 1.0 and weight else None


class Start:
    """When what waits in a lane starts, said item by item in their order.

    `speed` is the lane's now and `usual` what it goes back to, in token units a second, over 0.
    """

    __slots__ = ("_apart", "_later", "seconds")

    def __init__(self, speed: float, usual: float) -> None:
        self._later = min(max(speed, usual / _FAR), usual * _FAR)
        self._apart = max(speed, _LEAST * usual) - self._later
        self.seconds = 0.0

    def after(self, weight: float) -> float:
        """Seconds from now until this weight more has begun as well."""
        speed = self._later
        if self._apart:
            speed += self._apart * exp(-self.seconds / _BACK_S)
        self.seconds += weight / speed
        return self.seconds
