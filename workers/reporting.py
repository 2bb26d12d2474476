"""What a worker says of itself, for routing and for people: each second, and when it matters."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from broker.core.breaker import Breaker
from broker.core.lanes import LANES, Lane
from broker.records.providers import ProviderState
from workers.dispatch import Dispatcher
from workers.quota_keeping import Allowance
from workers.tallies import Tallies

EVERY_S: Final = 1.0
LOOK_S: Final = 0.1
_MUCH: Final = 0.25
"""A change of the waiting weight by this share of a second's work of all slots is worth telling."""
_CLAIM: Final = 0.02
"""A change of the share of the limits that it claims by so much is for the others to know."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The worker whose state is told.

    `lag` counts records not read yet, by lane; `reports` is what all workers say, by provider.
    """

    provider: str
    worker: str
    dispatcher: Dispatcher
    breaker: Breaker
    tallies: Tallies
    allowance: Allowance
    lag: Callable[[], Mapping[Lane, int]]
    reports: Callable[[], Mapping[str, Sequence[ProviderState]]]


class Reporting:
    """Makes the state of a worker, and decides when it is worth telling. Used on the event loop."""

    def __init__(self, subject: Subject, publish: Callable[[ProviderState], None]) -> None:
        self._subject = subject
        self._publish = publish
        self._told: ProviderState | None = None

    async def run(self) -> None:
        """Look, and tell; until cancelled."""
        while True:
            now = time.time()
            self._subject.allowance.looked(now, now + LOOK_S)
            self.look(now)
            await asyncio.sleep(LOOK_S)

    def look(self, now: float) -> None:
        """Tell the state when it is time, or when it has changed so that others should know.

        Before that the limits per minute are shared anew, by what the others have said.
        """
        subject = self._subject
        subject.allowance.tick(subject.reports().get(subject.provider, ()), now)
        state, told = self.state(now), self._told
        if told is None or now - told.at >= EVERY_S or _matters(told, state):
            self._told = state
            self._publish(state)

    def state(self, now: float) -> ProviderState:
        """The state at `now`, unix seconds."""
        subject = self._subject
        dispatcher, breaker = subject.dispatcher, subject.breaker
        lag, speed = subject.lag(), subject.tallies.speed
        running = dispatcher.running
        expected = subject.tallies.expected
        slots_speed = speed.of(dispatcher.slots, expected.overdue(now))
        quota_speed = subject.allowance.speed()
        speeds = [one for one in (slots_speed, quota_speed) if one is not None]
        left, late = subject.allowance.quotas.left(now), subject.tallies.recent
        # What has not been read yet is taken to weigh what this lane's prompts weighed lately.
        held, counts = dispatcher.waiting_weight, dispatcher.waiting
        weights: dict[str, float] = {
            lane: held[lane] + lag[lane] * speed.usual_weight(lane) if lag[lane] else held[lane]
            for lane in LANES
        }
        waiting: dict[str, int] = {lane: counts[lane] + lag[lane] for lane in LANES}
        return ProviderState(
            provider=subject.provider,
            worker=subject.worker,
            at=now,
            breaker=breaker.state(now),
            in_flight=dispatcher.in_flight,
            slots=dispatcher.slots,
            waiting=sum(waiting.values()) + dispatcher.resting,
            waiting_weight=round(sum(weights.values())),
            speed=None if slots_speed is None else min(speeds),
            waiting_by_lane=waiting,
            in_flight_by_lane={lane: running[lane] for lane in LANES},
            opens_again_at=breaker.opens_again_at(now),
            most_slots=subject.allowance.most_slots,
            output_tokens_s=late.output_tokens_s(now),
            first_token_p50_s=late.first_token_s(0.5, now),
            first_token_p95_s=late.first_token_s(0.95, now),
            requests_left=left.requests,
            tokens_left=left.tokens,
            quota_base=subject.allowance.share.base,
            quota_claimed=subject.allowance.share.claimed,
            stopped="spent" if breaker.is_spent else None,
            waiting_weight_by_lane={lane: round(weights[lane]) for lane in LANES},
            oldest_wait_s={
                lane: round(waits, 3)
                for lane, waits in dispatcher.oldest_wait(now).items()
                if waits
            },
            calls_take=expected.lines(),
            late_by_lane=expected.late(now),
            back_at=breaker.closed_at,
        )


def _matters(told: ProviderState, state: ProviderState) -> bool:
    if (told.breaker, told.stopped) != (state.breaker, state.stopped):
        return True
    if abs(told.quota_claimed - state.quota_claimed) > _CLAIM:
        return True
    if (told.waiting == 0) != (state.waiting == 0):
        return True
    if state.speed is None:
        return False
    return abs(state.waiting_weight - told.waiting_weight) > _MUCH * state.speed
