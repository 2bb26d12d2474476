"""Where a prompt is now, and when it should be done, from what the topics say of it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from broker.core.eta import Ranges
from broker.core.expected_time import call_seconds
from broker.core.lane_wait import PLACE, lane_wait
from broker.core.lanes import LANES, Lane
from broker.records.calls import CallEvent
from broker.records.completion import Completion
from broker.records.progress import ProgressRecord, Range
from broker.records.providers import ProviderState
from broker.records.times import to_rfc3339
from broker.records.work import Work

State = Literal["completed", "running", "waiting", "not_classified", "nowhere"]

SILENT_S: Final = 10.0
"""A worker's state that is older says nothing."""
_CLOCKS_S: Final = 1.0
"""What the clocks of two workers may differ by."""
_PRIOR_FIRST_S: Final = 1.0
_PRIOR_TOKEN_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class Ahead:
    """How many records stand before one in Kafka and are not done, and in how many partitions."""

    count: int
    partitions: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What the topics have of a prompt. `ahead` is of the newest work, or of the prompt itself.

    `states` are what the workers of the work's provider say of themselves.
    """

    id: str
    tenant: str
    accepted_at: float
    work: Work | None = None
    calls: Sequence[CallEvent] = ()
    completion: Completion | None = None
    told: ProgressRecord | None = None
    ahead: Ahead | None = None
    is_done: bool = False
    """Whether the newest record of its way counts as done, without a completion."""
    states: Sequence[ProviderState] = ()


@dataclass(frozen=True, slots=True)
class Status:
    """Where a prompt is. Times are unix seconds, ranges those that hold four times in five.

    `place` is how many stand before it: in its lane, or in the prompts' topic while it is not
    classified. `said_at` is when a worker said so; None where it was worked out here from offsets
    and the workers' states, which counts what is in Kafka and is coarser.
    """

    id: str
    state: State
    tenant: str
    accepted_at: float
    provider: str | None = None
    worker: str | None = None
    lane: str | None = None
    place: int | None = None
    starts_at: Range | None = None
    ends_at: Range | None = None
    said_at: float | None = None
    since: float | None = None
    """When the call under way began."""
    calls: int = 0
    held_until: float | None = None
    """Before then it may not start: its tenant's rate lets it in later."""
    moves: int = 0
    """How often it has changed its provider."""
    status: str | None = None
    completed_at: float | None = None
    code: str | None = None
    """Of the error that it ended with."""
    why: str = ""
    """What it ended with, waits for, or was moved or tried again for; a sentence or nothing."""

    def as_json(self) -> dict[str, Any]:
        """What `status --json` prints."""
        shown = asdict(self)
        for name in ("accepted_at", "said_at", "since", "held_until", "completed_at"):
            at = shown[name]
            shown[name] = None if at is None else to_rfc3339(at)
        for name in ("starts_at", "ends_at"):
            given: Range | None = shown[name]
            shown[name] = None if given is None else [to_rfc3339(one) for one in given]
        return shown


def status_of(facts: Facts, now: float) -> Status:
    """Where the prompt is at `now`."""
    calls = len({call.attempt for call in facts.calls if call.event == "started"})
    given: dict[str, Any] = {
        "id": facts.id,
        "tenant": facts.tenant,
        "accepted_at": facts.accepted_at,
        "calls": calls,
    }
    ended, work = facts.completion, facts.work
    if ended is not None:
        return Status(
            **{**given, "calls": ended.calls},
            state="completed",
            provider=ended.provider or None,
            lane=ended.lane or None,
            status=ended.status,
            completed_at=ended.completed_at,
            moves=max(0, len(ended.route) - 1),
            code=None if ended.error is None else ended.error.code,
            why="" if ended.error is None else ended.error.message,
        )
    if facts.is_done:
        return Status(**given, state="nowhere", why="It was worked on, and has no completion.")
    if work is None:
        place = None if facts.ahead is None else facts.ahead.count
        return Status(**given, state="not_classified", place=place)
    given |= {
        "provider": work.route[-1].provider,
        "lane": work.lane or None,
        "moves": work.moves,
        "why": _because(facts, work),
    }
    under_way = _under_way(facts)
    if under_way is not None:
        return _running(given, facts, work, under_way, now)
    return _waiting(given, facts, work, now)


def _because(facts: Facts, work: Work) -> str:
    """Why it is where it is, when it was tried before."""
    last = max(facts.calls, key=lambda one: (one.at, one.event == "ended"), default=None)
    step = work.route[-1]
    if last is not None and last.outcome == "retry" and last.at >= step.at:
        what = last.code or last.http_status or "no answer"
        return f"Call {last.attempt} failed ({what}), and it is tried again."
    return f"Moved: {step.reason}." if work.moves else ""


def _under_way(facts: Facts) -> CallEvent | None:
    """The call that began last, where nothing was said of its end."""
    last = max(facts.calls, key=lambda one: (one.at, one.event == "ended"), default=None)
    return None if last is None or last.event == "ended" else last


def _running(
    given: dict[str, Any], facts: Facts, work: Work, call: CallEvent, now: float
) -> Status:
    given |= {"provider": call.provider, "since": call.at}
    told = facts.told
    if (
        told is not None
        and (told.state, told.provider) == ("running", call.provider)
        and told.at >= call.at - _CLOCKS_S
    ):
        return Status(
            **given, state="running", worker=told.worker, ends_at=told.ends_at, said_at=told.at
        )
    takes = _takes(work, facts.states)
    low, high = Ranges().of("call", work.lane, max(0.0, call.at + takes - now))
    return Status(**given, state="running", ends_at=(now + low, now + high))


def _waiting(given: dict[str, Any], facts: Facts, work: Work, now: float) -> Status:
    told = facts.told
    since = max((call.at for call in facts.calls), default=work.route[-1].at)
    if work.not_before is not None and work.not_before > now:
        given |= {"held_until": work.not_before}
    if (
        told is not None
        and (told.state, told.provider) == ("waiting", given["provider"])
        and told.at >= since - _CLOCKS_S
    ):
        return Status(
            **given,
            state="waiting",
            worker=told.worker or None,
            place=told.place,
            starts_at=told.starts_at,
            ends_at=told.ends_at,
            said_at=told.at,
        )
    fresh = [one for one in facts.states if now - one.at <= SILENT_S]
    place = _place(facts.ahead, work, fresh)
    starts_s = _starts_in(place, work, fresh, now)
    if place is None or starts_s is None:
        if not fresh:
            given |= {"why": f"No worker of {given['provider']} says anything."}
        return Status(**given, state="waiting", place=place)
    ranges, held = Ranges(), max(now, given.get("held_until", now))
    starts_s = max(0.0, starts_s - (held - now))
    low, high = ranges.of("start", work.lane, starts_s)
    first, last = ranges.of("end", work.lane, starts_s + _takes(work, fresh))
    return Status(
        **given,
        state="waiting",
        place=place,
        starts_at=(held + low, held + high),
        ends_at=(held + first, held + last),
    )


def _place(ahead: Ahead | None, work: Work, states: Sequence[ProviderState]) -> int | None:
    """What stands before it in its lane and is not under way."""
    if ahead is None:
        return None
    under_way = sum(one.in_flight_by_lane.get(work.lane, 0) for one in states)
    return max(0, ahead.count - under_way)


def _starts_in(
    place: int | None, work: Work, states: Sequence[ProviderState], now: float
) -> float | None:
    """Seconds until it should start; None where nobody knows how quickly work goes there."""
    speed = sum(one.speed or 0.0 for one in states)
    if place is None or not speed or work.lane not in LANES:
        return None
    lane: Lane = work.lane
    counts = _by_lane([one.waiting_by_lane for one in states])
    weights = _by_lane([one.waiting_weight_by_lane for one in states])
    each = weights[PLACE[lane]] / counts[PLACE[lane]] if counts[PLACE[lane]] else work.weight
    weights[PLACE[lane]] = place * (each or work.weight)
    opens = [one.opens_again_at or now for one in states]
    return max(0.0, min(opens) - now) + lane_wait(weights, lane, speed)


def _by_lane(given: Sequence[Mapping[str, int]]) -> list[float]:
    return [float(sum(one.get(lane, 0) for one in given)) for lane in LANES]


def _takes(work: Work, states: Sequence[ProviderState]) -> float:
    """Seconds that its call should take."""
    for state in states:
        known = call_seconds(state.calls_take, work.model, work.expected_output_tokens)
        if known is not None:
            return known
    return _PRIOR_FIRST_S + _PRIOR_TOKEN_S * work.expected_output_tokens
