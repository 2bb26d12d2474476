"""When a prompt will start and end, as ranges that are right four times in five. Pure.

An expectation says one time: the weight before a prompt in its lane over the speed at which the
lane starts work, then what its call should take. The range around it comes from how such
expectations went lately: real over expected seconds, by lane and by how far away the time is, in
distributions that forget. What has no experience of its own leans on that of all lanes, and at last
on a prior.

Distributions that lag behind a changing world would be right too seldom. So what is cut off of
their ends is steered by what came true, a little less after each miss and a little more after each
hit: adaptive conformal inference (Gibbs and Candès, 2021) holds the share in the long run, whatever
comes. Where nothing is left to cut and they still miss, as while a provider becomes ever slower,
they grow beyond all that was met.
"""

from bisect import bisect_right
from collections.abc import Iterable
from math import exp, log
from typing import Final, Literal

SAID: Final = 0.8
"""The share of real times that fall within the said range, at least."""
AIM: Final = 0.88
"""What it is steered to, so that short stretches and the first minutes hold it as well."""
SLACK_S: Final = 0.1
"""Of every time that no expectation is about; also keeps ratios of short times in bounds."""

Kind = Literal["start", "end", "call", "overdue", "moved"]
"""What is expected: the start of what waits, its end, the end of a call under way, of one that
should have ended, or of what goes to another provider, by its report."""

_KINDS: Final[tuple[Kind, ...]] = ("start", "end", "call", "overdue", "moved")
_HORIZONS: Final = (0.5, 2.0, 8.0, 32.0, 128.0)
_STEP: Final = 0.15
_LOWEST: Final = -4.5
_BINS: Final = 60
_KEPT: Final = 0.99
"""What each further one leaves of those before it: about 100 count."""
_FEWEST: Final = 20.0
_PRIOR: Final = (0.35, 0.5, 0.7, 0.85, 1.0, 1.0, 1.15, 1.4, 2.0, 2.8)
_STEERED_BY: Final = 0.02
_LEAST_CUT: Final = 0.004
_MOST_CUT: Final = 0.6
_WIDENED_BY: Final = 6.0
_WIDEST: Final = -0.3
"""Below the least cut, each hundredth makes both sides 6% wider, up to 6 times."""


class Spread:
    """A distribution of real over expected, in bins of its logarithm, that forgets."""

    __slots__ = ("_bins", "_sum", "_unit")

    def __init__(self, ratios: Iterable[float] = ()) -> None:
        self._bins = [0.0] * _BINS
        self._sum = 0.0
        self._unit = 1.0
        for ratio in ratios:
            self.met(ratio)

    @property
    def weight(self) -> float:
        """How many count, those long ago for less."""
        return self._sum / self._unit

    def met(self, ratio: float) -> None:
        """Something took so many times what was expected."""
        place = int((log(ratio) - _LOWEST) / _STEP) if ratio > 0 else 0
        # Instead of making all that was less, what is new counts for more.
        self._unit /= _KEPT
        self._bins[min(_BINS - 1, max(0, place))] += self._unit
        self._sum += self._unit
        if self._unit > 1e9:  # noqa: PLR2004 - long before the sums lose digits
            self._bins = [one / self._unit for one in self._bins]
            self._sum /= self._unit
            self._unit = 1.0

    def quantile(self, share: float) -> float:
        """The ratio that this share is not above; 1 when nothing was met."""
        wanted = share * self._sum
        for place, count in enumerate(self._bins):
            if count and wanted <= count:
                return exp(_LOWEST + _STEP * (place + max(0.0, wanted) / count))
            wanted -= count
        return exp(_LOWEST + _STEP * _BINS) if self._sum else 1.0


class Ranges:
    """Learns what comes of expectations, and says ranges. Not thread-safe."""

    def __init__(self) -> None:
        self._spreads: dict[tuple[Kind, str, int], Spread] = {}
        self._all: dict[Kind, Spread] = {kind: Spread(_PRIOR) for kind in _KINDS}
        self._cut: dict[Kind, float] = {}

    def of(self, kind: Kind, lane: str, expected_s: float) -> tuple[float, float]:
        """From when to when, in seconds from now, what is expected in so many seconds."""
        spread = self._spread(kind, lane, expected_s)
        steered = self._cut.get(kind, 1.0 - AIM)
        cut = max(_LEAST_CUT, steered) / 2
        wider = exp(_WIDENED_BY * max(0.0, _LEAST_CUT - steered))
        base = max(0.0, expected_s) + SLACK_S
        low = max(0.0, base * spread.quantile(cut) / wider - SLACK_S)
        return low, max(low, base * spread.quantile(1.0 - cut) * wider - SLACK_S)

    def met(self, kind: Kind, lane: str, expected_s: float, real_s: float, *, within: bool) -> None:
        """What was expected in so many seconds came after so many, in the said range or not."""
        ratio = (max(0.0, real_s) + SLACK_S) / (max(0.0, expected_s) + SLACK_S)
        horizon = bisect_right(_HORIZONS, expected_s)
        for name in (lane, ""):
            known = self._spreads.get((kind, name, horizon))
            if known is None:
                known = self._spreads[kind, name, horizon] = Spread()
            known.met(ratio)
        self._all[kind].met(ratio)
        cut = self._cut.get(kind, 1.0 - AIM)
        missed = 0.0 if within else 1.0
        cut += _STEERED_BY * ((1.0 - AIM) - missed)
        self._cut[kind] = min(_MOST_CUT, max(_WIDEST, cut))

    def _spread(self, kind: Kind, lane: str, expected_s: float) -> Spread:
        horizon = bisect_right(_HORIZONS, expected_s)
        for name in (lane, ""):
            known = self._spreads.get((kind, name, horizon))
            if known is not None and known.weight >= _FEWEST:
                return known
        return self._all[kind]
