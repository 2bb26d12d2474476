"""What is to be routed, as a choice needs it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from broker.core.candidates import Candidate
from broker.core.lanes import Lane
from broker.core.route_reasons import Bar, Reason

_ALL: Final = 2**32
_MASK: Final = _ALL - 1
_LIMIT_NOISE: Final = 0.1
"""A limit may be taken for so much lower by chance, so that routers do not turn all at once."""


@dataclass(frozen=True, slots=True)
class Request:
    """One prompt, at the time of the choice."""

    lane: Lane
    weight: int
    pin: str | None = None
    tried: Sequence[str] = ()
    """Providers that already had it, in turn; never chosen again."""
    moves: int = 0
    """How often it was moved so far; the first choice is no move."""
    because: str = "was tried"
    """For a move: what happened at the provider that hands it on, to follow its name."""
    cause: Reason = Reason.FAILED
    """For a move: the code of that."""
    barred: Mapping[str, Bar] = field(default_factory=dict)
    """Providers that cannot be asked it, or may not be."""
    model: str = ""
    output_tokens: int = 0
    """As expected, of all answers together."""
    left_s: float | None = None
    """Until its deadline; None where it has none."""
    usd: Mapping[str, float | None] = field(default_factory=dict)
    """What it is expected to cost, by provider, in US dollars; None where no price is known."""
    luck: float = 0.0
    """From 0 up to 1, drawn from the prompt's id: what is left to chance goes by it, so that many
    routers that know the same do not all do the same, and a replay does what was done."""

    def time_s(self, candidate: Candidate) -> float | None:
        """From now to the end of its answer there; None where nothing was measured."""
        return candidate.time_s(self.model, self.output_tokens)

    def is_late(self, candidate: Candidate) -> bool:
        """Whether it would be done after its deadline there, as far as is known."""
        if self.left_s is None:
            return False
        time_s = self.time_s(candidate)
        return (candidate.wait_s if time_s is None else time_s) > self.left_s

    def bound(self, limit_s: float) -> float:
        """The wait limit (seconds) as it is taken for this prompt."""
        return limit_s * (1 - _LIMIT_NOISE * self.luck)

    def passed(self, candidate: Candidate, limit_s: float) -> str:
        """The limit that a candidate's wait is over, in words: by chance it may be the lower."""
        return f"{limit_s if candidate.wait_s > limit_s else self.bound(limit_s):.3g} s"

    def chance(self, place: int) -> float:
        """A number from 0 up to 1 for each of several things; all 0 without luck."""
        if not self.luck:
            return 0.0
        # Ids that follow each other have lucks that are not quite independent: mix their bits.
        mixed = int(self.luck * _ALL) + place * 0x9E3779B9
        mixed = ((mixed ^ (mixed >> 15)) * 0x2C1B3C6D) & _MASK
        return (mixed ^ (mixed >> 12)) / _ALL
