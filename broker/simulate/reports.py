"""What simulated workers say of themselves, when a real one would say it, and who has heard it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from broker.core.breaker import Breaker
from broker.core.lanes import LANES
from broker.records.providers import BreakerState, ProviderState
from workers.dispatch import Dispatcher
from workers.quota_keeping import Allowance
from workers.reporting import EVERY_S, LOOK_S, Reporting, Subject
from workers.tallies import Tallies

_MUCH: Final = 0.25
"""As of a real worker: a change by this share of a second's work is worth a look."""


class Board:
    """The latest state of every worker that has been heard of, by provider."""

    def __init__(self) -> None:
        self._heard: dict[str, tuple[ProviderState, ...]] = {}

    def hear(self, state: ProviderState) -> None:
        """It has come through the log."""
        before = self._heard.get(state.provider, ())
        others = [one for one in before if one.worker != state.worker]
        pool = (*others, state) if others else (state,)
        self._heard = {**self._heard, state.provider: pool}

    def reports(self) -> Mapping[str, Sequence[ProviderState]]:
        """As routing takes them."""
        return self._heard


class Reporter:
    """Tells one worker's state, each second and when it matters."""

    def __init__(
        self,
        provider: str,
        dispatcher: Dispatcher,
        breaker: Breaker,
        tallies: Tallies,
        allowance: Allowance,
        *,
        worker: str,
        reports: Callable[[], Mapping[str, Sequence[ProviderState]]],
        adaptive: bool,
    ) -> None:
        """`adaptive`: the calls under way are to be looked at ten times a second."""
        self._adaptive = adaptive
        self._dispatcher = dispatcher
        self._breaker = breaker
        self._tallies = tallies
        self._allowance = allowance
        self._was_busy = False
        self.publish: Callable[[ProviderState], None] = _nobody
        none = dict.fromkeys(LANES, 0)
        subject = Subject(
            provider=provider,
            worker=worker,
            dispatcher=dispatcher,
            breaker=breaker,
            tallies=tallies,
            allowance=allowance,
            lag=lambda: none,
            reports=reports,
        )
        self._reporting = Reporting(subject, self._told)
        self._at = 0.0
        self._state: BreakerState = "closed"
        self._waits = False
        self._weight = 0

    def next_look(self, now: float) -> float:
        """When to `look` next: ten times a second, but not where nothing can matter before then."""
        if self._is_busy or self._state != "closed":
            return now + LOOK_S
        return max(now + LOOK_S, self._at + EVERY_S)

    @property
    def is_stirred(self) -> bool:
        """Whether an arrival makes an earlier look worth while than was planned."""
        return not self._was_busy and self._is_busy

    def look(self, now: float) -> None:
        """Ten times a second: cheap where nothing has changed that others should know."""
        dispatcher = self._dispatcher
        self._was_busy = self._is_busy
        if (
            now - self._at >= EVERY_S
            or dispatcher.idle is self._waits
            or self._breaker.state(now) != self._state
        ):
            self._reporting.look(now)
        elif self._waits:
            weight = sum(dispatcher.waiting_weight.values())
            speed = self._tallies.speed.of(dispatcher.slots)
            if speed is not None and abs(weight - self._weight) > _MUCH * speed:
                self._reporting.look(now)
        if self._adaptive:
            # An idle worker is not late for a look that it did not plan.
            self._allowance.looked(now, self.next_look(now))

    @property
    def _is_busy(self) -> bool:
        calls = self._adaptive and self._dispatcher.in_flight > 0
        return calls or not self._dispatcher.idle

    def _told(self, state: ProviderState) -> None:
        self._at, self._state = state.at, state.breaker
        self._waits, self._weight = state.waiting > 0, state.waiting_weight
        self.publish(state)


def _nobody(state: ProviderState) -> None:
    raise AssertionError(f"nobody listens to {state.worker}")
