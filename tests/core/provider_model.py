"""A provider with places and a queue, and a worker that calls it: time passes as fast as it can.

The worker does as `workers.quota_keeping` does: it looks at its calls ten times a second, guesses
the length of each answer, and takes off what it was late itself.
"""

import heapq
import random
import statistics
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count

from broker.core.concurrency import Begun, ConcurrencyLimit

MODEL = "chat-small"
LOOK_S = 0.1
LENGTHS = (20, 60, 120, 300)


@dataclass
class Provider:
    """`slots` and `speed` may be changed while it runs."""

    slots: int
    queue: int
    first_s: float = 0.4
    per_token_s: float = 0.01
    spread: float = 0.25
    speed: float = 1.0
    hanging: float = 0.0
    """The share of calls that hang for a minute, in no place of the others."""


def provider_of(seconds: float, slots: int, queue: int, **more: float) -> Provider:
    """Calls of so many seconds on average, two fifths of it before the first token."""
    first = 0.4 * seconds
    return Provider(slots, queue, first, (seconds - first) / statistics.fmean(LENGTHS), **more)


@dataclass(frozen=True)
class Worker:
    """What it knows, and when it runs.

    `guess` is how far guesses of an answer's length are apart from it (of a lognormal), None where
    all are guessed alike. `starved` are the moments from and to which it does not run.
    """

    guess: float | None = 0.4
    starved: Sequence[tuple[float, float]] = ()

    def free_at(self, now: float) -> float:
        """When it does next what falls due now."""
        return next((ends for begins, ends in self.starved if begins <= now < ends), now)


@dataclass
class Call:
    begun: Begun
    tokens: int
    takes_s: float
    at: float


@dataclass
class Run:
    """What happened: the limit at each look, and when calls were answered or refused."""

    limits: list[tuple[float, int]] = field(default_factory=list)
    answered: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)

    def limits_between(self, begins: float, ends: float) -> list[int]:
        return [limit for at, limit in self.limits if begins <= at < ends]

    def refused_share(self, begins: float) -> float:
        refused = sum(at >= begins for at in self.refused)
        return refused / max(1, refused + sum(at >= begins for at in self.answered))


def _changed(change: Callable[[], None], _now: float) -> None:
    change()


class Simulation:
    """A worker that always has as many calls under way as its limit and `demand` let it."""

    def __init__(
        self,
        provider: Provider,
        limit: ConcurrencyLimit,
        *,
        seed: int,
        tokens: Sequence[int],
        demand: Callable[[float], int],
        worker: Worker,
    ) -> None:
        self.provider = provider
        self.limit = limit
        self.tokens = tokens
        self.demand = demand
        self.worker = worker
        self.drawn = random.Random(seed)
        self.run = Run()
        self.events: list[tuple[float, int, Callable[[float], None]]] = []
        self.order = count()
        self.waiting: deque[Call] = deque()
        self.in_flight = self.busy = 0
        self.look_due = self.lag_s = 0.0

    def at(self, when: float, what: Callable[[float], None]) -> None:
        heapq.heappush(self.events, (when, next(self.order), what))

    def until(self, ends: float) -> None:
        self.at(0.0, self._look)
        while self.events[0][0] < ends:
            now, _, what = heapq.heappop(self.events)
            what(now)

    def _serve(self, call: Call, now: float) -> None:
        self.busy += 1
        self.at(now + call.takes_s / self.provider.speed, partial(self._done, call))

    def _done(self, call: Call, now: float) -> None:
        self.busy -= 1
        while self.waiting and self.busy < self.provider.slots:
            self._serve(self.waiting.popleft(), now)
        self.at(self.worker.free_at(now), partial(self._heard, call))

    def _heard(self, call: Call, now: float) -> None:
        self.in_flight -= 1
        late_s = 2 * max(self.lag_s, now - self.look_due)
        self.limit.answered(call.begun, MODEL, call.tokens, now - call.at, now, late_s=late_s)
        self.run.answered.append(now)
        self._fill(now)

    def _refuse(self, call: Call, now: float) -> None:
        self.in_flight -= 1
        self.limit.refused(call.begun, now)
        self.run.refused.append(now)
        self.at(now + 0.02, self._fill)

    def _fill(self, now: float) -> None:
        while self.in_flight < min(self.limit.limit, self.demand(now)):
            self.in_flight += 1
            self._call(now)

    def _call(self, now: float) -> None:
        provider, drawn = self.provider, self.drawn
        length = drawn.choice(self.tokens)
        takes = provider.first_s * drawn.lognormvariate(0, provider.spread)
        takes += provider.per_token_s * length * drawn.lognormvariate(0, provider.spread)
        should = self.limit.expected(MODEL, self._guessed(length))
        call = Call(self.limit.began(self.in_flight, now, should), length, takes, now)
        self.limit.sent(call.begun, now)
        if drawn.random() < provider.hanging:
            self.at(now + 60.0, partial(self._heard, call))
        elif self.busy < provider.slots:
            self._serve(call, now)
        elif len(self.waiting) < provider.queue:
            self.waiting.append(call)
        else:
            self.at(now + 0.005, partial(self._refuse, call))

    def _guessed(self, length: int) -> float:
        sigma = self.worker.guess
        if sigma is None:
            return statistics.fmean(LENGTHS)
        return length * self.drawn.lognormvariate(0, sigma)

    def _look(self, now: float) -> None:
        late_s = max(0.0, now - self.look_due)
        self.lag_s = max(late_s, 0.8 * self.lag_s)
        self.look_due = now + LOOK_S
        self.limit.looked(now, self.look_due)
        self.run.limits.append((now, self.limit.limit))
        self._fill(now)
        self.at(self.worker.free_at(self.look_due), self._look)


def simulate(
    provider: Provider,
    limit: ConcurrencyLimit,
    seconds: float,
    *,
    seed: int = 1,
    tokens: Sequence[int] = LENGTHS,
    demand: Callable[[float], int] = lambda _now: 10_000,
    changes: Sequence[tuple[float, Callable[[], None]]] = (),
    worker: Worker = Worker(),
) -> Run:
    """So many seconds of it; each change is made at its time."""
    simulation = Simulation(provider, limit, seed=seed, tokens=tokens, demand=demand, worker=worker)
    for when, what in changes:
        simulation.at(when, partial(_changed, what))
    simulation.until(seconds)
    return simulation.run
