"""The first in a policy's order that is good enough, or the least bad one, and the words for it."""

import math
from collections.abc import Sequence

from broker.core.candidates import Candidate, Standing
from broker.core.policies import Policy, soonest
from broker.core.route_reasons import Reason
from broker.core.route_request import Request

Pick = tuple[Reason, Candidate, str]
"""The code, the candidate, and the sentence."""


def pick(
    request: Request,
    left: Sequence[Candidate],
    shown: tuple[Candidate, ...],
    limit: float,
    policy: Policy,
) -> Pick:
    """The first in the policy's order that is good enough, else the least bad one."""
    late: list[Candidate] = []
    if request.left_s is not None:
        late = [c for c in left if c.standing is Standing.ABLE and request.is_late(c)]
        timely = [c for c in left if c not in late] if late else left
        if not any(c.standing is Standing.ABLE for c in timely) and late:
            best = soonest(request, late)
            text = f"none would be done by its deadline; least late: {best.provider} {best.figures}"
            return Reason.LEAST_LATE, best, text
        left = timely
    bounded, bound = policy.bounds_wait, request.bound(limit)
    for candidate in policy.order(request, left):
        if candidate.standing is Standing.ABLE:
            if bounded and candidate.wait_s > bound:
                continue
            return _explained(request, candidate, shown, limit, policy)
        if candidate.standing is Standing.PROBING and candidate.probe_free:
            text = f"{candidate.provider} may be back: one prompt to try it"
            return Reason.PROBE, candidate, text
    return _least_bad(request, left, limit)


def _explained(
    request: Request,
    chosen: Candidate,
    shown: tuple[Candidate, ...],
    limit: float,
    policy: Policy,
) -> Pick:
    """Say why it is this one: because of what spoke against the one before it in preference."""
    takes = f"{chosen.provider} {chosen.figures}"
    first = shown[0]
    if request.tried:
        return request.cause, chosen, f"{request.tried[-1]} {request.because}, {takes}"
    if first.standing is Standing.ABLE and request.is_late(first):
        text = f"{first.provider} {first.figures} and would be late for its deadline, {takes}"
        return Reason.DEADLINE, chosen, text
    if len(shown) > 1 and policy.name != "overflow":
        reason, text = policy.why(request, chosen)
        return reason, chosen, text
    if first is chosen:
        reason = Reason.ONLY if len(shown) == 1 else Reason.PREFERRED
        return reason, chosen, f"{takes}, limit {limit:g} s"
    if first.standing is Standing.ABLE:
        passed = request.passed(first, limit)
        text = f"{first.provider} {first.figures} of {passed} for {request.lane}, {takes}"
        return Reason.OVERFLOW, chosen, text
    reason = Reason.SILENT if first.standing is Standing.SILENT else Reason.BREAKER
    return reason, chosen, f"{first.provider} {first.figures}, {takes}"


def _least_bad(request: Request, left: Sequence[Candidate], limit: float) -> Pick:
    """Nobody is under the limit: the shortest wait, else a silent one, else the earliest probe."""
    able = [c for c in left if c.standing is Standing.ABLE]
    if able:
        best = min(able, key=lambda c: c.wait_s)
        passed = request.passed(best, limit)
        text = f"all over {passed} for {request.lane}; least: {best.provider} {best.figures}"
        return Reason.LEAST_WAIT, best, text
    for candidate in left:
        if candidate.standing is Standing.SILENT:
            text = f"{candidate.provider} {candidate.figures}, but nobody else is able"
            return Reason.SILENT, candidate, text
    best = min(left, key=_probe)
    text = f"every breaker is open; the first to try again: {best.provider} {best.figures}"
    return Reason.LEAST_BAD, best, text


def _probe(candidate: Candidate) -> float:
    return -math.inf if candidate.standing is Standing.PROBING else candidate.probe_in_s
