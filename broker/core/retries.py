"""What happens after a provider call failed: try again here, move on, or stop.

One table decides, `verdict`; the rest says when the next try is and whether it may be at all. Here
is what holds everywhere: the meaning of HTTP's statuses (RFC 9110, RFC 6585) and the words that
adapters translate to. What one dialect says in its own words stands beside its adapter, with its
source.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final


class Transport(StrEnum):
    """How a call failed without a whole answer. A closed list: the journal uses these words."""

    CONNECT = "connect"
    FIRST_BYTE_TIMEOUT = "first_byte_timeout"
    BETWEEN_BYTES_TIMEOUT = "between_bytes_timeout"
    TOTAL_TIMEOUT = "total_timeout"
    CUT = "cut"
    MALFORMED = "malformed"
    STREAM_CUT = "stream_cut"


class Action(StrEnum):
    """What to do next."""

    RETRY = "retry"
    """Call the same provider again, after a pause."""
    MOVE = "move"
    """Hand the work to another provider; with none left, it fails."""
    REFUSED = "refused"
    """Stop: the provider will not answer this prompt; status `refused`."""
    FAILED = "failed"
    """Stop: no provider would accept this prompt as it is; status `failed`."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One row of the table."""

    action: Action
    in_place: int = 0
    """For RETRY: so many tries more at the same provider, then MOVE, if there is another one."""
    unhealthy: bool = False
    """It counts against the provider's breaker."""
    spent: bool = False
    """Credit or quota is used up, or the account is refused: nothing works there until somebody
    acts, so it is stopped and probed slowly."""


CONCURRENCY_LIMIT: Final = "concurrency_limit"
"""Our code for a 429 that means too many calls at the same time, not too many in a minute: fewer in
flight help, waiting alone does not."""

_RATE: Final = Verdict(Action.RETRY, in_place=3)
_SICK: Final = Verdict(Action.RETRY, in_place=1, unhealthy=True)
_BUSY: Final = Verdict(Action.RETRY, in_place=2)
_AWAY: Final = Verdict(Action.MOVE, unhealthy=True)
_SPENT: Final = Verdict(Action.MOVE, unhealthy=True, spent=True)
_MOVE: Final = Verdict(Action.MOVE)
_REFUSED: Final = Verdict(Action.REFUSED)
_FAILED: Final = Verdict(Action.FAILED)

_BY_CODE: Final[Mapping[str, Verdict]] = {
    # Out of money, or the key is wrong: nothing works here, but elsewhere it may.
    "insufficient_quota": _SPENT,
    "invalid_api_key": _AWAY,
    # Pressure that passes.
    "rate_limit_exceeded": _RATE,
    CONCURRENCY_LIMIT: _RATE,
    # The content was judged: not tried again, and not carried to a provider that might not judge.
    "content_filter": _REFUSED,
    # The prompt does not fit this model here; another provider's may be larger.
    "context_length_exceeded": _MOVE,
    # The model is missing here; the provider's other models may be fine.
    "model_not_found": _MOVE,
}

_BY_STATUS: Final[Mapping[int, Verdict]] = {
    **dict.fromkeys((400, 415, 422), _FAILED),
    **dict.fromkeys((401, 403, 501), _AWAY),
    402: _SPENT,
    **dict.fromkeys((404, 405, 410, 413), _MOVE),
    **dict.fromkeys((408, 409, 425), _BUSY),
    429: _RATE,
    **dict.fromkeys((500, 502, 503, 504, 529), _SICK),
}

BY_TRANSPORT: Final[Mapping[Transport, Verdict]] = {
    Transport.CONNECT: _SICK,
    # A call that ran into a long time-out is not given the same time here again.
    Transport.FIRST_BYTE_TIMEOUT: _AWAY,
    Transport.BETWEEN_BYTES_TIMEOUT: _AWAY,
    Transport.TOTAL_TIMEOUT: _AWAY,
    Transport.CUT: _SICK,
    Transport.MALFORMED: _SICK,
    Transport.STREAM_CUT: _SICK,
}


@dataclass(frozen=True, slots=True)
class RetryTable:
    """What follows each error of one dialect: by the error's code, else by HTTP status."""

    by_code: Mapping[str, Verdict]
    by_status: Mapping[int, Verdict]

    def with_rows(
        self,
        by_code: Mapping[str, Verdict] | None = None,
        by_status: Mapping[int, Verdict] | None = None,
    ) -> "RetryTable":
        """This table with a dialect's own rows before it."""
        return RetryTable(
            {**self.by_code, **(by_code or {})}, {**self.by_status, **(by_status or {})}
        )


COMMON: Final = RetryTable(_BY_CODE, _BY_STATUS)
"""What holds where a dialect says nothing else."""


def verdict(
    status: int | None,
    code: str | None,
    transport: Transport | None = None,
    table: RetryTable = COMMON,
) -> Verdict:
    """Look a failed call up: by transport failure, then by the error's code, then by HTTP status.

    `status` is None when there was no answer. A status that is not listed goes by its class: a 4xx
    fails, a 5xx is tried again, anything else (a redirect, a 2xx that is no answer) moves on.
    """
    if transport is not None:
        return BY_TRANSPORT[transport]
    if code is not None and code in table.by_code:
        return table.by_code[code]
    if status is None:
        return _SICK
    if status in table.by_status:
        return table.by_status[status]
    return {4: _FAILED, 5: _SICK}.get(status // 100, _AWAY)


@dataclass(frozen=True, slots=True)
class RetryRules:
    """Settings of retries. Times are seconds."""

    base_s: float = 0.25
    cap_s: float = 20.0
    max_calls: int = 6
    """Calls for one prompt over all providers, after which it has failed."""
    retry_after_cap_s: float = 30.0
    """A provider that asks for more than this is left instead."""
    alone_cap_s: float = 600.0
    """When there is no other provider, one that asks for more than this ends the prompt."""
    table: RetryTable = COMMON


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed call of one prompt, as `next_step` needs it."""

    status: int | None
    code: str | None = None
    transport: Transport | None = None
    retry_after_s: float | None = None
    """What the provider asked for, `retry-after-ms` before `retry-after`; None when it did not."""
    should_retry: bool | None = None
    """What the provider itself says of another try; None when it says nothing."""
    calls: int = 1
    """Calls made for this prompt so far, over all providers, this one included."""
    calls_here: int = 1
    """Of them, those at this provider since the work came to it."""
    deadline: float | None = None
    """When the prompt expires, in unix seconds."""
    alone: bool = False
    """No other provider could take it, so that moving would end it."""


@dataclass(frozen=True, slots=True)
class Step:
    """What to do, when, and why."""

    action: Action
    after_s: float = 0.0
    """For RETRY: the pause before the next call."""
    why: str = ""
    """For the route and the journal: words and figures, without the prompt."""
    unhealthy: bool = False
    """It counts against the provider's breaker."""
    spent: bool = False
    """The provider's credit or quota is used up: as in `Verdict`."""


def next_step(failure: Failure, rules: RetryRules, *, now: float, jitter: float) -> Step:
    """Decide what follows a failed call.

    `jitter` is uniform in [0, 1), drawn by the caller. A RETRY still needs `RetryBudget.may_retry`
    when its pause is over; without it the work moves, or, when alone, pauses again. A retry that
    would begin after the deadline becomes a move at once.
    """
    row = _as_told(
        verdict(failure.status, failure.code, failure.transport, rules.table), failure.should_retry
    )
    what = named(failure)
    action = row.action
    if action in (Action.REFUSED, Action.FAILED):
        return Step(action, 0.0, what, row.unhealthy, row.spent)
    if failure.calls >= rules.max_calls:
        why = f"{what}, after {failure.calls} calls of {rules.max_calls}"
        return Step(Action.FAILED, 0.0, why, row.unhealthy, row.spent)
    if action is Action.RETRY:
        pause = backoff(failure.calls_here, rules, jitter)
        asked = failure.retry_after_s
        longest = rules.alone_cap_s if failure.alone else rules.retry_after_cap_s
        if asked is not None and asked > longest:
            what = f"{what}, try again after {asked:g} s"
        elif failure.calls_here > row.in_place and not failure.alone:
            what = f"{what}, {failure.calls_here} times"
        else:
            # Never before the time the provider named; the jitter spreads those it named it to.
            pause = pause if asked is None else max(0.0, asked) + rules.base_s * jitter
            if failure.deadline is None or now + pause < failure.deadline:
                return Step(Action.RETRY, pause, what, row.unhealthy, row.spent)
            what = f"{what}, no time left for a pause of {pause:.1f} s"
    return Step(Action.MOVE, 0.0, what, row.unhealthy, row.spent)


def _as_told(row: Verdict, should_retry: bool | None) -> Verdict:  # noqa: FBT001 - its one subject
    """The row after the provider's own word: no retry where it says no, one where it says yes.

    What was judged, and what is spent, it cannot change: another call would be judged again.
    """
    if should_retry is False and row.action is Action.RETRY:
        return replace(row, action=Action.MOVE)
    if should_retry and row.action in (Action.MOVE, Action.FAILED) and not row.spent:
        return replace(row, action=Action.RETRY, in_place=1)
    return row


def backoff(tries: int, rules: RetryRules, jitter: float) -> float:
    """Full jitter: uniform between 0 and a ceiling that doubles with each try, up to the cap."""
    return jitter * min(rules.cap_s, rules.base_s * 2.0 ** min(tries - 1, 60))


def named(failure: Failure) -> str:
    """The failure in a few words, such as `429 rate_limit_exceeded`."""
    if failure.transport is not None:
        return failure.transport.value.replace("_", " ")
    parts = [str(failure.status) if failure.status is not None else "no answer"]
    if failure.code:
        parts.append(failure.code[:64])
    return " ".join(parts)
