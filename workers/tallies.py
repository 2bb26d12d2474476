"""A worker's metrics, with their labels looked up once, and the measured speed of its calls."""

from collections import deque
from math import ceil
from typing import Any, Final

from broker.core.lanes import LANES, Lane
from broker.records.providers import BreakerState
from broker.telemetry.metrics import WorkerMetrics
from workers.dispatch import Dispatcher
from workers.expectations import Expectations

_KEPT: Final = 0.95
"""What each further call leaves standing of what was measured before: about 20 calls count."""
_BREAKER: Final[dict[BreakerState, int]] = {"closed": 0, "half_open": 1, "open": 2}

_RECENT: Final = 500
_RECENT_S: Final = 60.0
_RATE_S: Final = 10.0


class Speed:
    """Weight per second of a slot: sums that forget, so that a few tiny calls do not mislead."""

    def __init__(self) -> None:
        self._weight = 0.0
        self._seconds = 0.0
        self._usual: dict[Lane, float] = {}

    def measured(self, lane: Lane, weight: int, seconds: float) -> None:
        """A call of this weight took so long."""
        self._weight = self._weight * _KEPT + weight
        self._seconds = self._seconds * _KEPT + seconds
        usual = self._usual.get(lane, weight)
        self._usual[lane] = usual * _KEPT + weight * (1 - _KEPT)

    def usual_weight(self, lane: Lane) -> float:
        """What a prompt of this lane weighs, of late; 0 before the first call."""
        return self._usual.get(lane, 0.0)

    def of(self, slots: int, overdue: tuple[float, float] = (0.0, 0.0)) -> float | None:
        """Token units a second of so many slots; None before the first call.

        `overdue` are the calls that should have ended, and their own speed together if they ended
        now: their slots have that one.
        """
        if self._seconds <= 0:
            return None
        each, (count, speed) = self._weight / self._seconds, overdue
        return max(0.0, slots - count) * each + min(speed, count * each)


class Recent:
    """What calls of the last minute were like, for people and routing."""

    def __init__(self) -> None:
        self._first_tokens: deque[tuple[float, float]] = deque(maxlen=_RECENT)
        self._outputs: deque[tuple[float, int]] = deque(maxlen=_RECENT)

    def answered(self, first_token_s: float | None, output_tokens: int | None, now: float) -> None:
        """A call was answered at `now` (unix seconds)."""
        if first_token_s is not None:
            self._first_tokens.append((now, first_token_s))
        if output_tokens:
            self._outputs.append((now, output_tokens))

    def first_token_s(self, share: float, now: float) -> float | None:
        """The time to the first token that this share of calls is not above; None without any."""
        times = sorted(seconds for at, seconds in self._first_tokens if at > now - _RECENT_S)
        return times[max(0, ceil(share * len(times)) - 1)] if times else None

    def output_tokens_s(self, now: float) -> float | None:
        """Tokens of answers a second over the last ten seconds; None before the first one."""
        if not self._outputs:
            return None
        since = now - _RATE_S
        if len(self._outputs) == _RECENT:  # busier than it remembers
            since = max(since, self._outputs[0][0])
        made = sum(tokens for at, tokens in self._outputs if at > since)
        return made / max(now - since, 0.1)


class Tallies:
    """Counts what happens to jobs."""

    def __init__(self, metrics: WorkerMetrics) -> None:
        self._metrics = metrics
        self._children: dict[tuple[Any, ...], Any] = {}
        self.speed = Speed()
        self.recent = Recent()
        self.expected = Expectations()

    def called(self, lane: Lane, outcome: str, code: str, seconds: float) -> None:
        """A call ended."""
        metrics = self._metrics
        self._child(metrics.calls, outcome, code).inc()
        self._child(metrics.call_seconds, lane).observe(seconds)

    def first_token(self, lane: Lane, seconds: float) -> None:
        """The first of an answer came."""
        self._child(self._metrics.first_token_seconds, lane).observe(seconds)

    def per_token(self, lane: Lane, seconds: float) -> None:
        """A streamed answer took so long for each token after its first."""
        self._child(self._metrics.per_token_seconds, lane).observe(seconds)

    def chunks(self, fate: str, count: int = 1) -> None:
        """Records of streamed answers: `published`, `held` for want of room, or `lost`."""
        self._child(self._metrics.chunks, fate).inc(count)

    def queued(self, lane: Lane, seconds: float) -> None:
        """A prompt waited so long for its first call."""
        self._child(self._metrics.queued_seconds, lane).observe(max(0.0, seconds))

    def completed(self, lane: Lane, status: str, tokens_in: int, tokens_out: int) -> None:
        """A completion was handed to the committer."""
        self._child(self._metrics.completions, status, lane).inc()
        self._child(self._metrics.tokens, "input").inc(tokens_in)
        self._child(self._metrics.tokens, "output").inc(tokens_out)

    def moved(self, to: str, reason: str) -> None:
        """Work was handed to another provider."""
        self._child(self._metrics.moves, to, reason).inc()

    def not_moved(self, reason: str) -> None:
        """Work ended here, as no other provider could take it."""
        self._child(self._metrics.not_moved, reason).inc()

    def retried(self, how: str) -> None:
        """A retry: `paused`, `made`, or `denied` by the budget."""
        self._child(self._metrics.retries, how).inc()

    def spent(self) -> None:
        """The provider's quota or credit is used up."""
        self._metrics.provider_spent.inc()

    def unreadable(self) -> None:
        """A work record that is none."""
        self._metrics.bad_work.inc()

    def stands(
        self, dispatcher: Dispatcher, breaker: BreakerState, pending: int, now: float
    ) -> None:
        """How things stand at `now`, for the gauges; called now and then."""
        metrics = self._metrics
        running, oldest = dispatcher.running, dispatcher.oldest_wait(now)
        for lane in LANES:
            self._child(metrics.oldest_wait_seconds, lane).set(oldest[lane])
            self._child(metrics.in_flight, lane).set(running[lane])
            self._child(metrics.waiting, lane).set(dispatcher.waiting[lane])
        metrics.concurrency_limit.set(dispatcher.slots)
        metrics.breaker_open.set(_BREAKER[breaker])
        metrics.writer_pending.set(pending)

    def _child(self, metric: Any, *labels: str) -> Any:
        key = (id(metric), *labels)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = metric.labels(*labels)
        return child
