"""One piece of work in this process, from its arrival to its end."""

from dataclasses import dataclass, field
from enum import Enum

from broker.core.lanes import Lane
from broker.core.prices import NOTHING, Cost
from broker.records.incoming import Headers
from broker.records.work import Work
from workers.answer_stream import AnswerStream
from workers.taken import Taken


class JobState(Enum):
    """Where a job stands. GONE: its partition was taken from us, nothing may come of it."""

    WAITING = "waiting"
    RESTING = "resting"
    RUNNING = "running"
    SETTLED = "settled"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the record stands, and in which assignment (`epoch`) it was read."""

    topic: str
    partition: int
    offset: int
    epoch: int


@dataclass(slots=True, eq=False)
class Job:
    """Work with its place. `size` is the record's bytes; times are unix seconds.

    `calls` counts provider calls over all providers and processes that are known of, `calls_here`
    those since the work came to this provider in this process, `provider_s` their time and `cost`
    what they cost.
    """

    place: Place
    lane: Lane
    size: int
    work: Work
    calls: int
    calls_here: int = 0
    provider_s: float = 0.0
    cost: Cost = NOTHING
    first_call_at: float | None = None
    state: JobState = JobState.WAITING
    retries: bool = False
    """The next call repeats one that failed here, so that it needs the budget's leave."""
    last_failure: str = ""
    """What the last call failed of, in words for the route."""
    answered_at: float | None = None
    """When its answer became a completion (unix seconds)."""
    heard: int | None = None
    """The attempt that was answered, where two were under way and it was not the last."""
    taken: Taken | None = None
    """What of the provider's limits the call under way has taken."""
    stream: AnswerStream | None = None
    """Where the pieces of the call under way go, when it brings any."""
    cancelled: bool = False
    """Somebody asked that nothing more be done for it, while its call was under way."""

    @property
    def why_cut(self) -> str:
        """The journal's code of a call of it that is cut off here."""
        return "cancelled" if self.cancelled else "given_up"

    @property
    def tenant(self) -> str:
        """Whose it is."""
        return self.work.tenant

    @property
    def model(self) -> str:
        """The alias that is asked."""
        return self.work.model

    @property
    def weight(self) -> int:
        """Token units that it is expected to take."""
        return self.work.weight

    @property
    def priority(self) -> str:
        """`interactive`, `standard` or `batch`."""
        return self.work.priority

    @property
    def arrived_at(self) -> float:
        """When the prompt was accepted."""
        return self.work.accepted_at

    @property
    def deadline(self) -> float | None:
        """When it ends if it has not started."""
        return self.work.deadline

    @property
    def not_before(self) -> float | None:
        """When it may start at the earliest."""
        return self.work.not_before

    @property
    def whole_cost(self) -> Cost:
        """Of all calls that are known of: those that came with the work, and those here."""
        work = self.work
        if work.cost_usd == 0.0 and not work.cost_estimated:
            return NOTHING.plus(self.cost)
        return Cost(work.cost_usd, work.cost_estimated).plus(self.cost)


@dataclass(frozen=True, slots=True)
class UnreadableWork:
    """A work record that is not in the contract's form, as it was read."""

    place: Place
    lane: Lane
    size: int
    key: bytes | None
    value: bytes | None = field(repr=False)
    headers: Headers = field(repr=False)
    code: str
    message: str


Arrival = Job | UnreadableWork
