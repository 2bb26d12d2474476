"""Which provider gets a prompt: who can and may, by which policy, and what is said of it.

An open breaker takes a provider out. What is unknown yet counts as able: the preferred one comes
first. One that reported and fell silent is not trusted while another answers. Who cannot be asked
the prompt, or may not be, is left out, which is said where it cost the prompt that provider. One
that would be late for the prompt's deadline is passed over while another would not.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from broker.core.candidates import Candidate, Standing
from broker.core.lanes import LANES, Lane
from broker.core.losses import notes_of
from broker.core.picking import pick
from broker.core.policies import Policy
from broker.core.route_reasons import Bar, Loss, NoReason, Reason
from broker.core.route_request import Request
from broker.records.not_routed import NotRouted

__all__ = [
    "Bar",
    "Decision",
    "Loss",
    "NoDecision",
    "NoReason",
    "Reason",
    "Request",
    "RoutingRules",
    "choose",
]

OVERFLOW: Final = Policy()


@dataclass(frozen=True, slots=True)
class RoutingRules:
    """Bounds of every policy. Times are seconds."""

    wait_limits: Mapping[Lane, float]
    """Longest expected wait at which a provider still takes a prompt of a lane."""
    max_moves: int = 3

    def __post_init__(self) -> None:
        if any(not self.wait_limits.get(lane, 0.0) > 0.0 for lane in LANES):
            raise ValueError(f"every lane of {LANES} needs a wait limit over 0")
        if self.wait_limits["heavy"] > min(self.wait_limits["light"], self.wait_limits["medium"]):
            raise ValueError(
                "heavy prompts must overflow first: their wait limit is not the lowest"
            )


@dataclass(frozen=True, slots=True)
class Decision:
    """The choice, with the reason in a code, in words, and each candidate's figures."""

    provider: str
    reason: Reason
    sentence: str
    candidates: tuple[Candidate, ...]
    request: Request | None = None
    policy: Policy = OVERFLOW
    limit_s: float = math.inf

    @property
    def wait_s(self) -> float:
        """Expected wait at the chosen provider, seconds."""
        name = self.provider
        return next((one.wait_s for one in self.candidates if one.provider == name), 0.0)

    @property
    def notes(self) -> tuple[Mapping[str, Any], ...]:
        """Each candidate with its figures and why it lost, ready for JSON."""
        return notes_of(self.provider, self.request, self.candidates, self.policy, self.limit_s)


@dataclass(frozen=True, slots=True)
class NoDecision:
    """Nobody can take it: it fails with this code and sentence."""

    reason: NoReason
    sentence: str
    candidates: tuple[Candidate, ...]
    request: Request | None = None
    policy: Policy = OVERFLOW

    @property
    def notes(self) -> tuple[Mapping[str, Any], ...]:
        """Each candidate with its figures and why it cannot take it, ready for JSON."""
        return notes_of("", self.request, self.candidates, self.policy, math.inf)

    @property
    def not_routed(self) -> NotRouted:
        """As a completion carries it."""
        return NotRouted(str(self.reason), self.sentence, self.notes)


def choose(
    request: Request,
    candidates: Sequence[Candidate],
    rules: RoutingRules,
    policy: Policy = OVERFLOW,
) -> Decision | NoDecision:
    """Choose among the providers that serve the model, given in order of preference."""
    shown = tuple(candidates)
    pin = policy.to if request.pin is None and policy.name == "pinned" else request.pin
    limit = rules.wait_limits[request.lane]
    able = shown
    if request.barred:
        able = tuple(c for c in shown if c.provider not in request.barred)
        if pin in request.barred or (shown and not able):
            return _all_barred(request, pin, shown, policy)
    no = _nobody(request, pin, able, rules)
    if no is not None:
        why, text = no
        told = "; ".join(f"{name} {bar.words}" for name, bar in request.barred.items())
        return NoDecision(why, f"{text}; {told}" if told else text, shown, request, policy)
    if pin is not None:
        by = "the prompt" if request.pin is not None else "the settings"
        text = f"pinned to {pin} by {by}"
        return Decision(pin, Reason.PINNED, text, shown, request, policy, limit)
    left = [c for c in able if c.provider not in request.tried] if request.tried else able
    reason, chosen, text = pick(request, left, able, limit, policy)
    if request.tried and reason is not request.cause:
        # For a move the sentence begins with what happened where the work comes from.
        text = f"{request.tried[-1]} {request.because}; {text}"
    passed = _passed(request, chosen, shown, limit, policy) if request.barred else ()
    if passed:
        text = f"{'; '.join(f'{name} {bar.words}' for name, bar in passed)}; {text}"
        if reason in _AS_USUAL:
            can = all(bar.code in _UNABLE for _, bar in passed)
            reason = Reason.CAPABLE if can else Reason.ALLOWED
    return Decision(chosen.provider, reason, text, shown, request, policy, limit)


_AS_USUAL: Final = frozenset({Reason.PREFERRED, Reason.ONLY})
_UNABLE: Final = frozenset({Loss.LACKS, Loss.TOO_LONG})


def _passed(
    request: Request, chosen: Candidate, shown: Sequence[Candidate], limit: float, policy: Policy
) -> Sequence[tuple[str, Bar]]:
    """Whom the prompt lost by what bars them: those before the chosen one that would take it."""
    if policy.name != "overflow":
        return ()
    passed = []
    for candidate in shown:
        name = candidate.provider
        if name == chosen.provider:
            break
        if name in request.barred and name not in request.tried and _takes(candidate, limit):
            passed.append((name, request.barred[name]))
    return passed


def _takes(candidate: Candidate, limit: float) -> bool:
    """Whether it gets the prompt, if nobody before it does."""
    if candidate.standing is Standing.ABLE:
        return candidate.wait_s <= limit
    return candidate.standing is Standing.PROBING and candidate.probe_free


def _all_barred(
    request: Request, pin: str | None, shown: tuple[Candidate, ...], policy: Policy
) -> NoDecision:
    barred = request.barred
    told = "; ".join(f"{name} {bar.words}" for name, bar in barred.items())
    if pin is not None and pin in barred:
        told, codes = f"pinned to {pin}, which {barred[pin].words}", {barred[pin].code}
    else:
        codes = {bar.code for bar in barred.values()}
    if codes & _UNABLE:
        reason = NoReason.NOT_EXPRESSIBLE
    else:
        reason = NoReason.OVER_PRICE if Loss.PRICE in codes else NoReason.NOT_ALLOWED
    return NoDecision(reason, told, shown, request, policy)


def _nobody(
    request: Request, pin: str | None, able: tuple[Candidate, ...], rules: RoutingRules
) -> tuple[NoReason, str] | None:
    tried = request.tried
    serving = [candidate.provider for candidate in able]
    if tried and request.moves >= rules.max_moves:
        return NoReason.MOVES_SPENT, f"{request.moves} moves of {rules.max_moves} are spent"
    if pin is not None and pin not in serving:
        return NoReason.PINNED_ELSEWHERE, f"pinned to {pin}, which lacks this model"
    if pin is not None and pin in tried:
        return NoReason.PINNED_TRIED, f"pinned to {pin}, which was tried"
    if not serving:
        return NoReason.NOBODY_SERVES, "no provider serves this model"
    if tried and all(provider in tried for provider in serving):
        return NoReason.ALL_TRIED, f"{', '.join(serving)} tried, no other has this model"
    return None
