"""A provider in virtual time: its places, its queue, its limits, and when each call ends."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from broker.core.retries import CONCURRENCY_LIMIT, Transport
from broker.settings.providers import ProviderSettings
from broker.simulate.asked import Asked
from broker.simulate.events import Events
from broker.simulate.faults import answered, end_of
from broker.simulate.served import Law, Served
from workers.calling import CallResult
from workers.job import Job
from workers.simulator.faults import Fault, FaultPlan
from workers.simulator.minute_limits import MinuteLimits
from workers.ticket import Ticket

_BUSY_S: Final = 1.0
"""When a call that found no room is told to come back, as the simulated clouds say it."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a provider takes at once and in a minute; None is no bound."""

    slots: int | None = None
    queue: int = 0
    concurrency: int | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None


Told = Callable[["Call"], None]


@dataclass(slots=True, eq=False)
class Call:
    """One call under way. Times are unix seconds of virtual time."""

    job: Job
    asked: Asked
    ticket: Ticket
    number: int
    began: float
    ended: Told
    """Is told when its time has come, with the result."""
    served: Served = field(init=False)
    result: CallResult = field(init=False)
    has_place: bool = False


class Cloud:
    """One provider, for all of its workers."""

    def __init__(
        self,
        events: Events,
        law: Law,
        capacity: Capacity,
        plan: FaultPlan,
        given: ProviderSettings,
        *,
        call_s: float,
    ) -> None:
        self._events = events
        self._law = law
        self._capacity = capacity
        self._plan = plan
        self._given = given
        self._call_s = call_s
        self._limits = MinuteLimits(capacity.requests_per_minute, capacity.tokens_per_minute)
        self._in_use = 0
        self._waiting: deque[Call] = deque()
        self._numbers: dict[str, int] = {}

    def begin(self, call: Call) -> None:
        """A call comes in."""
        now, identity = self._events.now, call.job.work.id
        number = self._numbers[identity] = self._numbers.get(identity, 0) + 1
        call.served = served = self._law.served(call.asked, number, now)
        refused = self._refused(call, served, now)
        if refused is not None:
            self._end_at(call, refused, self._call_s)
            return
        slots = self._capacity.slots
        if slots is None or self._in_use < slots:
            self._take(call)
        elif len(self._waiting) >= self._capacity.queue:
            self._end_at(call, CallResult(0.0, status=429, code=CONCURRENCY_LIMIT), self._call_s)
        else:
            self._waiting.append(call)

    def _refused(self, call: Call, served: Served, now: float) -> CallResult | None:
        """What a call gets that is turned away before it has a place."""
        if self._plan.is_down(now):
            down = self._plan.choose(0.0, now)
            return end_of(down, served, self._given, self._plan.settings)
        if served.failure is not None:
            return served.failure
        if served.fault in _AT_THE_DOOR:
            return end_of(served.fault, served, self._given, self._plan.settings)
        return self._crowded(call, now)

    def _crowded(self, call: Call, now: float) -> CallResult | None:
        """The 429 of one call too many, at once or in a minute."""
        most = self._capacity.concurrency
        if most is not None and self._in_use + len(self._waiting) >= most:
            return CallResult(0.0, status=429, code=CONCURRENCY_LIMIT, retry_after_s=_BUSY_S)
        if self._limits.none:
            return None
        work = call.job.work
        over = self._limits.admit(work.input_tokens + work.expected_output_tokens, now)
        if over is None:
            return None
        return CallResult(0.0, status=429, code="rate_limit_exceeded", retry_after_s=over.wait_s)

    def _take(self, call: Call) -> None:
        """It has a place from now on."""
        self._in_use += 1
        call.has_place = True
        served, more_s = call.served, self._events.now - call.began + self._call_s
        if served.fault is None:
            self._end_at(call, answered(call.asked, served, more_s), 0.0)
        else:
            result = end_of(served.fault, served, self._given, self._plan.settings)
            self._end_at(call, result, more_s)

    def _end_at(self, call: Call, result: CallResult, more_s: float) -> None:
        """It ends with this, so much later than its own seconds say; bounds cut it before."""
        seconds, given = result.seconds + more_s, self._given
        first = seconds if result.first_token_s is None else result.first_token_s + more_s
        if first > given.connect_s + given.first_byte_s:
            seconds = given.connect_s + given.first_byte_s
            result = CallResult(seconds, transport=Transport.FIRST_BYTE_TIMEOUT)
        elif seconds > given.total_s:
            seconds = given.total_s
            result = CallResult(seconds, transport=Transport.TOTAL_TIMEOUT)
        deadline = call.job.work.deadline
        if deadline is not None and call.began + seconds > deadline:
            seconds = max(0.0, deadline - call.began)
            result = CallResult(seconds, transport=Transport.TOTAL_TIMEOUT, expired=True)
        call.result = result if seconds == result.seconds else later(result, seconds, first)
        self._events.at(call.began + seconds, self._end, call)

    def _end(self, call: Call) -> None:
        if call.has_place:
            self._in_use -= 1
            slots = self._capacity.slots
            while self._waiting and (slots is None or self._in_use < slots):
                self._take(self._waiting.popleft())
        call.ended(call)


def later(result: CallResult, seconds: float, first_s: float) -> CallResult:
    """The same end, as whoever called has measured it."""
    return CallResult(
        seconds,
        first_token_s=None if result.first_token_s is None else first_s,
        answer=result.answer,
        status=result.status,
        code=result.code,
        transport=result.transport,
        retry_after_s=result.retry_after_s,
        expired=result.expired,
        per_token_s=result.per_token_s,
        usage=result.usage,
        received_tokens=result.received_tokens,
    )


_AT_THE_DOOR: Final = frozenset(
    {Fault.HANGS, Fault.RATE_LIMITED, Fault.SERVER_ERRORS, Fault.SPENT, Fault.TOO_LONG}
)
