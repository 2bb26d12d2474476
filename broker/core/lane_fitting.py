"""Lane thresholds fitted to recent traffic, so that each lane holds a set share of the work. Pure.

The thresholds in force are those of the newest change that was recorded, so all classifiers of a
deployment have the same; each sees the same journal and may propose the next change, from the ones
in force. A change is at most a tenth, at most one a minute, and none is made for less than a tenth.
"""

import math
from dataclasses import dataclass
from typing import Final

MOST_STEP: Final = 1.1
"""A threshold becomes this many times larger or smaller in one change, at the most."""

EVERY_S: Final = 60.0
LEAST_OFF: Final = 1.1
"""Whoever is nearer than this to where it should be stays where it is."""

LEAST_GAP: Final = 2.0
"""Where the bounds should go, heavy begins at so many times the end of light or more. On the way
they keep the gap that they had, less what `LEAST_OFF` forgives each."""

SMALLEST: Final = 16
LARGEST: Final = 1 << 26
FEWEST: Final = 200.0
"""Prompts (those of long ago count less) that must have been seen."""

_PER_OCTAVE: Final = 8
_BUCKETS: Final = 27 * _PER_OCTAVE
_RENEW_AT: Final = 30.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """Up to which weight a prompt is light, and from which it is heavy (token units)."""

    light_max: int
    heavy_min: int


@dataclass(frozen=True, slots=True)
class Proposal:
    """A change of the bounds, and why in words with figures."""

    new: Bounds
    why: str


class LaneFitting:
    """Sees the weights of prompts that begin, and says where the bounds should go.

    Light prompts are to hold `light_share` of all work (weight), heavy ones `heavy_share`. A prompt
    counts half after `half_life_s`. Takes prompts in any order of their times.
    """

    def __init__(
        self, light_share: float, heavy_share: float, half_life_s: float, now: float
    ) -> None:
        self._light_share = light_share
        self._heavy_share = heavy_share
        self._half_life_s = half_life_s
        self._epoch = now
        self._work = [0.0] * _BUCKETS
        self._prompts = 0.0

    def use(self, light_share: float, heavy_share: float, half_life_s: float, now: float) -> None:
        """Other shares, and another half-life, from `now` on; what was seen counts as it does."""
        self._light_share = light_share
        self._heavy_share = heavy_share
        if half_life_s != self._half_life_s:
            self._renew(now)
            self._half_life_s = half_life_s

    def saw(self, weight: int, at: float) -> None:
        """A prompt of this weight began `at` (unix seconds)."""
        age = (at - self._epoch) / self._half_life_s
        if age > _RENEW_AT:
            self._renew(at)
            age = 0.0
        mass = 2.0**age if age > -_RENEW_AT else 0.0
        self._work[_bucket(weight)] += mass * weight
        self._prompts += mass

    def wanted(self, now: float) -> Bounds | None:
        """Where the bounds would be if nothing held them; None while too little was seen."""
        ago = (now - self._epoch) / self._half_life_s
        if self._prompts * 2.0 ** -min(1_000.0, max(-_RENEW_AT, ago)) < FEWEST:
            return None
        light = self._weight_at(self._light_share)
        heavy = self._weight_at(1.0 - self._heavy_share)
        if heavy < light * LEAST_GAP:
            middle, half = math.sqrt(light * heavy), math.sqrt(LEAST_GAP)
            light, heavy = middle / half, middle * half
        least = max(SMALLEST, round(light))
        return Bounds(least, min(LARGEST, max(math.ceil(least * LEAST_GAP), round(heavy))))

    def proposal(self, in_force: Bounds, changed_at: float, now: float) -> Proposal | None:
        """The next change, or None; `changed_at` is when the last one was made (unix seconds)."""
        if 0.0 <= now - changed_at < EVERY_S:
            return None
        wanted = self.wanted(now)
        if wanted is None:
            return None
        light_max = _nearer(in_force.light_max, wanted.light_max)
        heavy_min = _nearer(in_force.heavy_min, wanted.heavy_min)
        new = Bounds(light_max, max(light_max + 1, heavy_min))
        if new == in_force:
            return None
        light, heavy = self._shares(in_force)
        return Proposal(
            new,
            f"light holds {light:.0%} of the work (should be {self._light_share:.0%}), heavy "
            f"{heavy:.0%} (should be {self._heavy_share:.0%}); on the way to {wanted.light_max:,} "
            f"and {wanted.heavy_min:,}",
        )

    def _renew(self, at: float) -> None:
        """Keep the masses as they are `at` that time from now on."""
        age = (at - self._epoch) / self._half_life_s
        down = 2.0 ** -min(1_000.0, max(-_RENEW_AT, age))
        self._work = [work * down for work in self._work]
        self._prompts *= down
        self._epoch = at

    def _weight_at(self, share: float) -> float:
        """The weight below which this share of the work is."""
        left = share * sum(self._work)
        for bucket, work in enumerate(self._work):
            if work > 0.0 and work >= left:
                return float(2.0 ** ((bucket + left / work) / _PER_OCTAVE))
            left -= work
        return float(LARGEST)

    def _shares(self, bounds: Bounds) -> tuple[float, float]:
        """What light and heavy hold now, to within a bucket."""
        whole = sum(self._work)
        light = sum(self._work[: _bucket(bounds.light_max) + 1])
        heavy = sum(self._work[_bucket(bounds.heavy_min) :])
        return light / whole, heavy / whole


def _bucket(weight: int) -> int:
    return min(_BUCKETS - 1, int(_PER_OCTAVE * math.log2(max(1, weight))))


def _nearer(now: int, wanted: int) -> int:
    """One step from a bound towards where it should be; the bound itself when that is near."""
    if wanted > now * LEAST_OFF:
        return min(wanted, math.ceil(now * MOST_STEP))
    if wanted < now / LEAST_OFF:
        return max(wanted, math.floor(now / MOST_STEP))
    return now
