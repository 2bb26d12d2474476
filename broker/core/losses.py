"""What a decision says of each candidate: its figures, and why it lost. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from broker.core.candidates import Candidate, Standing
from broker.core.policies import Policy
from broker.core.route_reasons import Loss
from broker.core.route_request import Request

_WORDS: Final = {standing: standing.value for standing in Standing}
_STANDING: Final = {
    Standing.OUT: Loss.BREAKER,
    Standing.PROBING: Loss.PROBING,
    Standing.SILENT: Loss.SILENT,
}


def notes_of(
    chosen: str,
    request: Request | None,
    candidates: Sequence[Candidate],
    policy: Policy,
    limit_s: float,
) -> tuple[Mapping[str, Any], ...]:
    """Each candidate as a work record carries it: JSON values only.

    `wait_s` is until work sent now begins, `time_s` until it is answered (absent where no call was
    measured), `late` what that was multiplied by because of late errors, `usd` the expected price
    (absent where it is not known). `lost` is a word of `Loss`, absent for the chosen one; `why`
    its words where a rule bars the provider.
    """
    winner = next((one for one in candidates if one.provider == chosen), None)
    return tuple(_note(one, winner, request, policy, limit_s) for one in candidates)


def _note(
    one: Candidate,
    winner: Candidate | None,
    request: Request | None,
    policy: Policy,
    limit_s: float,
) -> Mapping[str, Any]:
    note: dict[str, Any] = {
        "provider": one.provider,
        "standing": _WORDS[one.standing],
        "wait_s": round(one.wait_s, 3),
    }
    if request is None:
        return note
    time_s = one.time_s(request.model, request.output_tokens)
    if time_s is not None:
        note["time_s"] = round(time_s, 3)
        if one.late != 1.0:
            note["late"] = round(one.late, 3)
    usd = request.usd.get(one.provider)
    if usd is not None:
        note["usd"] = round(usd, 9)
    if one is winner:
        return note
    bar = request.barred.get(one.provider) if request.barred else None
    if bar is not None:
        note["lost"] = bar.code
        note["why"] = bar.words
    else:
        note["lost"] = _lost(one, winner, request, policy, limit_s)
    return note


def _lost(
    one: Candidate, winner: Candidate | None, request: Request, policy: Policy, limit_s: float
) -> Loss:
    if one.provider in request.tried:
        return Loss.TRIED
    if request.pin is not None or policy.name == "pinned":
        return Loss.PINNED
    if winner is None:
        return Loss.MOVES_SPENT
    if one.standing is not Standing.ABLE:
        return _STANDING[one.standing]
    return _passed(one, request, policy, limit_s) or policy.loss(request, one, winner)


def _passed(one: Candidate, request: Request, policy: Policy, limit_s: float) -> Loss | None:
    """Why one that is able was passed over, whoever won."""
    if request.is_late(one):
        return Loss.LATE
    if policy.bounds_wait and one.wait_s > request.bound(limit_s):
        return Loss.OVER_LIMIT
    return None
