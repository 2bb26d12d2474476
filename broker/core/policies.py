"""The policies: in which order providers are looked at, and which of them is good enough. Pure.

| policy     | order                                  | the first one that                         |
|------------|----------------------------------------|--------------------------------------------|
| `overflow` | as they stand in the settings          | has a wait under the lane's limit          |
| `fastest`  | by expected completion                 | is able                                    |
| `cheapest` | by price, then by expected completion  | has a wait under the lane's limit          |
| `weighted` | drawn by weights                       | has a wait under the lane's limit          |
| `pinned`   | only the one named                     | whatever its state                         |

A provider that may be back is given one prompt to try it wherever the order comes to it; `fastest`,
which would never come to it, looks at it first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, log
from typing import Final, Literal

from broker.core.candidates import Candidate, Standing
from broker.core.constraints import OPEN, Constraint
from broker.core.route_reasons import Loss, Reason
from broker.core.route_request import Request

PolicyName = Literal["overflow", "fastest", "cheapest", "weighted", "pinned"]

_NOISE: Final = 0.2
"""A wait may be taken for so much longer by chance: nobody knows it better than that."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How the provider of a prompt is chosen."""

    name: PolicyName = "overflow"
    allowed: Constraint = OPEN
    weights: Mapping[str, float] = field(default_factory=dict)
    """For `weighted`: parts by provider; one that is not named has none."""
    to: str | None = None
    """For `pinned`: the provider."""

    def __post_init__(self) -> None:
        if self.name == "pinned" and self.to is None:
            raise ValueError("the policy `pinned` needs the provider that it pins to")
        if self.name == "weighted" and not any(part > 0 for part in self.weights.values()):
            raise ValueError("the policy `weighted` needs a weight over 0")

    def order(self, request: Request, left: Sequence[Candidate]) -> Sequence[Candidate]:
        """The candidates as they are looked at; `left` is in order of preference."""
        if self.name == "fastest":
            return _by_time(request, left)
        if self.name == "cheapest":
            return _by_price(request, left)
        if self.name == "weighted":
            return _drawn(request, left, self.weights)
        return left

    @property
    def bounds_wait(self) -> bool:
        """Whether a wait over the lane's limit speaks against a provider."""
        return self.name != "fastest"

    def why(self, request: Request, chosen: Candidate) -> tuple[Reason, str]:
        """The code and the words for the first in the order, where it is not by preference."""
        if self.name == "fastest":
            soon = "about the soonest" if request.luck else "the soonest"
            return Reason.FASTEST, f"{chosen.provider} {_done(request, chosen)}, {soon}"
        if self.name == "cheapest":
            usd = request.usd.get(chosen.provider)
            price = "has no known price" if usd is None else f"costs about {usd:.6f} USD"
            return Reason.CHEAPEST, f"{chosen.provider} {price}, {chosen.figures}"
        part, whole = self.weights.get(chosen.provider, 0.0), sum(self.weights.values())
        text = f"{chosen.provider} has {part / whole:.0%} by its weight, {chosen.figures}"
        return Reason.WEIGHTED, text

    def loss(self, request: Request, loser: Candidate, winner: Candidate) -> Loss:
        """Why one that could have done it did not get it."""
        if self.name == "overflow" or winner.standing is not Standing.ABLE:
            return Loss.LESS_PREFERRED
        if self.name == "weighted":
            return Loss.NOT_DRAWN
        if self.name == "cheapest":
            mine, other = request.usd.get(loser.provider), request.usd.get(winner.provider)
            if mine != other:
                return Loss.DEARER
        return _by_time_lost(request, loser, winner)


def soonest(request: Request, left: Sequence[Candidate]) -> Candidate:
    """The one with the earliest expected completion, without any chance in it."""
    times = _times(request, left)
    return left[min(range(len(left)), key=times.__getitem__)]


def _by_time_lost(request: Request, loser: Candidate, winner: Candidate) -> Loss:
    mine, other = request.time_s(loser), request.time_s(winner)
    if mine is None or other is None:  # what was never measured is taken to be like the others
        mine, other = loser.wait_s, winner.wait_s
    if mine == other:
        return Loss.LESS_PREFERRED
    # A sooner one was passed over by chance: a wait is not known better than that.
    return Loss.NOT_DRAWN if mine < other else Loss.SLOWER


def _done(request: Request, candidate: Candidate) -> str:
    time_s = request.time_s(candidate)
    if time_s is None:
        return f"{candidate.figures} and has measured no call yet"
    return f"would be done in {time_s:.1f} s"


def _times(request: Request, left: Sequence[Candidate]) -> list[float]:
    """Expected completions; a call that was never measured is taken to be like the others."""
    calls = [request.time_s(one) for one in left]
    known = [time_s - one.wait_s for time_s, one in zip(calls, left, strict=True) if time_s]
    usual = sum(known) / len(known) if known else 0.0
    return [
        one.wait_s + usual if time_s is None else time_s
        for time_s, one in zip(calls, left, strict=True)
    ]


def _by_time(request: Request, left: Sequence[Candidate]) -> Sequence[Candidate]:
    keys = []
    for place, (one, time_s) in enumerate(zip(left, _times(request, left), strict=True)):
        if one.standing is Standing.ABLE:
            noise = _NOISE * one.wait_s * request.chance(place) if one.wait_s else 0.0
            keys.append((1, time_s + noise, place))
        else:
            keys.append((0 if one.probe_free else 2, 0.0, place))
    return [left[place] for _, _, place in sorted(keys)]


def _by_price(request: Request, left: Sequence[Candidate]) -> Sequence[Candidate]:
    times = _times(request, left)
    keys = []
    for place, one in enumerate(left):
        usd = request.usd.get(one.provider)
        noisy = times[place] + _NOISE * one.wait_s * request.chance(place)
        keys.append((inf if usd is None else usd, noisy, place))
    return [left[place] for _, _, place in sorted(keys)]


def _drawn(
    request: Request, left: Sequence[Candidate], weights: Mapping[str, float]
) -> Sequence[Candidate]:
    """In an order in which the first is each one as often as its weight says."""
    keys = []
    for place, one in enumerate(left):
        part = weights.get(one.provider, 0.0)
        # The least of exponential times, each with the weight as its rate.
        chance = 1.0 - request.chance(place)
        keys.append((-log(max(chance, 1e-12)) / part if part > 0 else inf, place))
    return [left[place] for _, place in sorted(keys)]
