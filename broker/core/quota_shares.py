"""Who of a provider's workers uses which part of its limits per minute. Pure: the time comes in.

A worker with k of the work topic's n partitions has k/n of each limit: its base. Prompts do not
fall on partitions evenly (all may be light), so what a worker leaves, others may use: each says in
`llm.providers` which part of the limits it claims, all of its base while something waits for quota,
else what it uses and a little more. Those who want more share what is left of the others' bases.

A claim that rises is used only `GRACE_S` later: until then the others have read of it and stepped
back. Who has been silent for `SILENT_S` is taken to use its base. So the parts add up to more than
one for no longer than a report takes.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

GRACE_S: Final = 2.0
SILENT_S: Final = 3.0
WANTING_S: Final = 5.0
"""Who waited for quota so lately wants all of its base."""
LEAST: Final = 0.01
"""The part of its base that a worker always claims, for the first prompts that come."""
_SPARE: Final = 1.25
_FULL: Final = 0.999


@dataclass(frozen=True, slots=True)
class Claim:
    """What another worker said at `at` (unix seconds): its base, and what of the limits it uses."""

    at: float
    base: float
    claimed: float

    @property
    def wants(self) -> bool:
        """Whether it uses all that it has."""
        return self.claimed >= _FULL * self.base


class QuotaShare:
    """One worker's part. Not thread-safe."""

    __slots__ = ("_fractions", "_wanted_at", "base", "claimed")

    def __init__(self) -> None:
        self.base = 0.0
        self.claimed = 0.0
        """To be told to the others, with `base`."""
        self._wanted_at = -WANTING_S
        self._fractions: deque[tuple[float, float]] = deque()

    def waits(self, now: float) -> None:
        """Something waits for quota here."""
        self._wanted_at = now

    def part(self, now: float, *, used: float, others: Iterable[Claim]) -> float:
        """The part of the limits to use from now on; `used` is the part used of late.

        To be asked a few times a second.
        """
        claims = [claim for claim in others if claim.base > 0]
        wants = now - self._wanted_at < WANTING_S
        fraction = 1.0
        if claims and not wants and self.base > 0:
            fraction = min(1.0, max(LEAST, _SPARE * used / self.base))
        self.claimed = self.base * fraction
        low = self._lowest(fraction, now)
        own = self.base * low
        if low < _FULL or not wants:
            return own
        fresh = [claim for claim in claims if now - claim.at <= SILENT_S]
        spare = sum(max(0.0, claim.base - claim.claimed) for claim in fresh)
        wanting = self.base + sum(claim.base for claim in fresh if claim.wants)
        taken = sum(claim.claimed if now - claim.at <= SILENT_S else claim.base for claim in claims)
        extra = spare * self.base / wanting if wanting > 0 else 0.0
        return min(own + extra, max(own, 1.0 - taken))

    def _lowest(self, fraction: float, now: float) -> float:
        """The lowest fraction claimed within the grace: a rise counts only when it is over."""
        fractions = self._fractions
        while fractions and fractions[-1][1] > fraction:
            fractions.pop()
        if not fractions or fractions[-1][1] < fraction:
            fractions.append((now, fraction))
        while len(fractions) > 1 and fractions[1][0] <= now - GRACE_S:
            fractions.popleft()
        return fractions[0][1]
