"""Which provider gets a prompt: the policy `overflow`.

The preferred provider keeps a prompt while its expected wait is under the lane's limit; the limit
of heavy prompts is the lowest, so they overflow first. An open breaker takes a provider out. What
is unknown yet counts as able: the preferred one comes first. One that reported and fell silent is
not trusted while another answers. Who cannot be asked the prompt at all is left out, which is said
where it cost the prompt that provider.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from broker.core.lanes import LANES, Lane
from broker.core.provider_view import Candidate, Standing


class Reason(StrEnum):
    """Why a provider was chosen. A closed list: metrics, audit and headers use these words."""

    PREFERRED = "preferred"
    ONLY = "only"
    PINNED = "pinned"
    CAPABLE = "capable"
    OVERFLOW = "overflow"
    BREAKER = "breaker"
    SILENT = "silent"
    FAILED = "failed"
    LEAST_WAIT = "least_wait"
    PROBE = "probe"
    LEAST_BAD = "least_bad"


class NoReason(StrEnum):
    """Why no provider can get a prompt. A closed list, used as the code of the failure."""

    NOBODY_SERVES = "nobody_serves"
    NOT_EXPRESSIBLE = "not_expressible"
    PINNED_ELSEWHERE = "pinned_not_serving"
    PINNED_TRIED = "pinned_tried"
    ALL_TRIED = "all_tried"
    MOVES_SPENT = "moves_spent"


@dataclass(frozen=True, slots=True)
class RoutingRules:
    """Settings of the policy. Times are seconds."""

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
class Request:
    """What is to be routed."""

    lane: Lane
    weight: int
    pin: str | None = None
    tried: Sequence[str] = ()
    """Providers that already had it, in turn; never chosen again."""
    moves: int = 0
    """How often it was moved so far; the first choice is no move."""
    because: str = "was tried"
    """For a move: what happened at the provider that hands it on, to follow its name."""
    lacking: Mapping[str, str] = field(default_factory=dict)
    """Providers that cannot be asked it, each with the reason, to follow its name."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The choice, with the reason in a code, in words, and each candidate's figures."""

    provider: str
    reason: Reason
    sentence: str
    candidates: tuple[Candidate, ...]

    @property
    def wait_s(self) -> float:
        """Expected wait at the chosen provider, seconds."""
        name = self.provider
        return next((one.wait_s for one in self.candidates if one.provider == name), 0.0)

    @property
    def notes(self) -> tuple[Mapping[str, Any], ...]:
        """Each candidate with its figures, ready for JSON, for the work record."""
        return tuple(
            {
                "provider": one.provider,
                "standing": one.standing.value,
                "wait_s": round(one.wait_s, 3),
            }
            for one in self.candidates
        )


@dataclass(frozen=True, slots=True)
class NoDecision:
    """Nobody can take it: it fails with this code and sentence."""

    reason: NoReason
    sentence: str
    candidates: tuple[Candidate, ...]


def choose(
    request: Request, candidates: Sequence[Candidate], rules: RoutingRules
) -> Decision | NoDecision:
    """Choose among the providers that serve the model, given in order of preference."""
    if request.lacking:
        return _among_the_able(request, candidates, rules)
    shown = tuple(candidates)
    no = _nobody(request, shown, rules)
    if no is not None:
        return no
    if request.pin is not None:
        text = f"pinned to {request.pin} by the prompt"
        return Decision(request.pin, Reason.PINNED, text, shown)
    left = [c for c in shown if c.provider not in request.tried] if request.tried else shown
    limit = rules.wait_limits[request.lane]
    for candidate in left:
        if not _takes(candidate, limit):
            continue
        if candidate.standing is Standing.ABLE:
            return _explained(request, candidate, shown, limit)
        text = f"{candidate.provider} may be back: one prompt to try it"
        return _moved(request, Decision(candidate.provider, Reason.PROBE, text, shown))
    return _moved(request, _least_bad(request, left, shown, limit))


def _takes(candidate: Candidate, limit: float) -> bool:
    """Whether it gets the prompt, if nobody before it does."""
    if candidate.standing is Standing.ABLE:
        return candidate.wait_s <= limit
    return candidate.standing is Standing.PROBING and candidate.probe_free


_AS_USUAL: Final = frozenset({Reason.PREFERRED, Reason.ONLY})


def _among_the_able(
    request: Request, candidates: Sequence[Candidate], rules: RoutingRules
) -> Decision | NoDecision:
    """Choose without those that cannot be asked, and say whom that has cost the prompt."""
    lacking, limit = request.lacking, rules.wait_limits[request.lane]
    able = tuple(c for c in candidates if c.provider not in lacking)
    told = "; ".join(f"{name} {why}" for name, why in lacking.items())
    pin = request.pin
    if pin is not None and pin in lacking:
        told = f"pinned to {pin}, which {lacking[pin]}"
    if pin in lacking or (candidates and not able):
        return NoDecision(NoReason.NOT_EXPRESSIBLE, told, tuple(candidates))
    chosen = choose(replace(request, lacking={}), able, rules)
    if isinstance(chosen, NoDecision):
        return replace(chosen, sentence=f"{chosen.sentence}; {told}")
    if chosen.reason is Reason.PINNED:
        return chosen
    passed = []
    for candidate in candidates:
        name = candidate.provider
        if name == chosen.provider:
            break
        if name in lacking and name not in request.tried and _takes(candidate, limit):
            passed.append(f"{name} {lacking[name]}")
    if not passed:
        return chosen
    reason = Reason.CAPABLE if chosen.reason in _AS_USUAL else chosen.reason
    return replace(chosen, reason=reason, sentence=f"{'; '.join(passed)}; {chosen.sentence}")


def _moved(request: Request, decision: Decision) -> Decision:
    """For a move the sentence begins with what happened where the work comes from."""
    if not request.tried:
        return decision
    before = f"{request.tried[-1]} {request.because}"
    return replace(decision, sentence=f"{before}; {decision.sentence}")


def _nobody(
    request: Request, shown: tuple[Candidate, ...], rules: RoutingRules
) -> NoDecision | None:
    tried, pin = request.tried, request.pin
    serving = [candidate.provider for candidate in shown]
    if tried and request.moves >= rules.max_moves:
        reason, text = NoReason.MOVES_SPENT, f"{request.moves} moves of {rules.max_moves} are spent"
    elif pin is not None and pin not in serving:
        reason, text = NoReason.PINNED_ELSEWHERE, f"pinned to {pin}, which lacks this model"
    elif pin is not None and pin in tried:
        reason, text = NoReason.PINNED_TRIED, f"pinned to {pin}, which was tried"
    elif not serving:
        reason, text = NoReason.NOBODY_SERVES, "no provider serves this model"
    elif tried and all(provider in tried for provider in serving):
        reason, text = NoReason.ALL_TRIED, f"{', '.join(serving)} tried, no other has this model"
    else:
        return None
    return NoDecision(reason, text, shown)


def _explained(
    request: Request, chosen: Candidate, shown: tuple[Candidate, ...], limit: float
) -> Decision:
    """Say why it is this one: because of what spoke against the one before it in preference."""
    takes = f"{chosen.provider} {chosen.figures}"
    first = shown[0]
    if request.tried:
        reason = Reason.FAILED
        text = f"{request.tried[-1]} {request.because}, {takes}"
    elif first is chosen:
        reason = Reason.ONLY if len(shown) == 1 else Reason.PREFERRED
        text = f"{takes}, limit {limit:g} s"
    elif first.standing is Standing.ABLE:
        reason = Reason.OVERFLOW
        text = f"{first.provider} {first.figures} of {limit:g} s for {request.lane}, {takes}"
    else:
        reason = Reason.SILENT if first.standing is Standing.SILENT else Reason.BREAKER
        text = f"{first.provider} {first.figures}, {takes}"
    return Decision(chosen.provider, reason, text, shown)


def _least_bad(
    request: Request, left: Sequence[Candidate], shown: tuple[Candidate, ...], limit: float
) -> Decision:
    """Nobody is under the limit: the shortest wait, else a silent one, else the earliest probe."""
    able = [c for c in left if c.standing is Standing.ABLE]
    if able:
        best = min(able, key=_wait)
        text = f"all over {limit:g} s for {request.lane}; least: {best.provider} {best.figures}"
        return Decision(best.provider, Reason.LEAST_WAIT, text, shown)
    for candidate in left:
        if candidate.standing is Standing.SILENT:
            text = f"{candidate.provider} {candidate.figures}, but nobody else is able"
            return Decision(candidate.provider, Reason.SILENT, text, shown)
    best = min(left, key=_probe)
    text = f"every breaker is open; the first to try again: {best.provider} {best.figures}"
    return Decision(best.provider, Reason.LEAST_BAD, text, shown)


def _wait(candidate: Candidate) -> float:
    return candidate.wait_s


def _probe(candidate: Candidate) -> float:
    return -math.inf if candidate.standing is Standing.PROBING else candidate.probe_in_s
