"""What one worker may still ask of its provider: limits per minute of the provider and each model.

Pure: the time comes in. A call passes every limit that is there: requests and tokens, of the
provider and of its model. A pool's workers share each limit by their share of the work topic's
partitions (`broker.core.quota_shares` says how what an idle one leaves is lent), and the provider's
own words go before the settings: what it says is left, and before when it wants no call.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from broker.core.lanes import Lane
from broker.core.minute_limit import MinuteLimit, Taken


@dataclass(frozen=True, slots=True)
class PerMinute:
    """Limits of all workers together; None where there is none."""

    requests: float | None = None
    tokens: float | None = None


@dataclass(frozen=True, slots=True)
class Left:
    """What a reply says of one quantity: the limit per minute and what is left of it; or None."""

    limit: float | None
    left: float | None


@dataclass(frozen=True, slots=True)
class Reservation:
    """What was taken for one call. `tokens` is the estimate."""

    model: str
    tokens: float
    of_requests: tuple[tuple[MinuteLimit, Taken], ...]
    of_tokens: tuple[tuple[MinuteLimit, Taken], ...]


NOTHING = PerMinute()


class Quotas:
    """One worker's quotas at one provider. Not thread-safe.

    `share` is this worker's part of every limit, between 0 and 1.
    """

    def __init__(
        self, provider: PerMinute, models: Mapping[str, PerMinute], share: float, now: float
    ) -> None:
        self._share = share
        self._own = models
        self._provider = self._limits(provider, now)
        self._by_model = {model: self._limits(given, now) for model, given in models.items()}
        self._not_before = 0.0
        self._models_not_before: dict[str, float] = {}

    @property
    def share(self) -> float:
        """This worker's part of every limit."""
        return self._share

    @property
    def limited(self) -> bool:
        """Whether there is any limit per minute."""
        return any(any(pair) for pair in (self._provider, *self._by_model.values()))

    def change_share(self, share: float, now: float) -> None:
        """Another part from now on."""
        if share == self._share:
            return
        self._share = share
        for pair in (self._provider, *self._by_model.values()):
            for limit in filter(None, pair):
                limit.change(now, share=share)

    def wait(self, model: str, lane: Lane, tokens: float, now: float) -> float:
        """In how many seconds a call may start if nothing else does; 0 is now."""
        waits = self.refused_for(model, now)
        for requests, of_tokens in (self._provider, self._model(model)):
            if requests is not None:
                waits = max(waits, requests.wait(1, lane, now))
            if of_tokens is not None:
                waits = max(waits, of_tokens.wait(tokens, lane, now))
        return waits

    def take(self, model: str, lane: Lane, tokens: float, now: float) -> Reservation:
        """Take what a call that starts now needs. It is for the caller to ask `wait` first."""
        pairs = (self._provider, self._model(model))
        return Reservation(
            model,
            tokens,
            tuple((one, one.take(1, lane, now)) for one, _ in pairs if one is not None),
            tuple((one, one.take(tokens, lane, now)) for _, one in pairs if one is not None),
        )

    def settle(self, taken: Reservation, tokens: float, now: float) -> None:
        """The call used so many tokens."""
        more = tokens - taken.tokens
        if more:
            for limit, slice_ in taken.of_tokens:
                limit.settle(slice_, more, now)

    def give_back(self, taken: Reservation, now: float) -> None:
        """The call was never made."""
        self.settle(taken, 0, now)
        for limit, slice_ in taken.of_requests:
            limit.settle(slice_, -1, now)

    def seen(self, model: str, requests: Left, tokens: Left, now: float) -> None:
        """What a reply's headers say: it is believed where it is less than we thought.

        It is about the model where the settings limit the model, or nothing; else the provider.
        """
        own = self._own.get(model, NOTHING)
        of_provider, of_model = self._provider, self._model(model)
        self._by_model[model] = (
            self._corrected(of_provider[0], of_model[0], own.requests, requests, now),
            self._corrected(of_provider[1], of_model[1], own.tokens, tokens, now),
        )

    def refuse_until(self, until: float, now: float, model: str | None = None) -> None:
        """The provider wants no call of this model (None: of any) before `until` (unix seconds)."""
        if model is None:
            self._not_before = max(self._not_before, until)
        else:
            before = self._models_not_before.get(model, 0.0)
            self._models_not_before[model] = max(before, until)
            for limit in filter(None, self._model(model)):
                limit.empty(now)
        for limit in filter(None, self._provider if model is None else ()):
            limit.empty(now)

    def refused_for(self, model: str, now: float) -> float:
        """For how many seconds more the provider wants no call of this model."""
        until = max(self._not_before, self._models_not_before.get(model, 0.0))
        return max(0.0, until - now)

    def left(self, now: float) -> PerMinute:
        """The least of what is left to this worker of the last minute: over all limits."""
        pairs = (self._provider, *self._by_model.values())
        requests = [one.left(now) for one, _ in pairs if one is not None]
        tokens = [one.left(now) for _, one in pairs if one is not None]
        return PerMinute(min(requests, default=None), min(tokens, default=None))

    def rates(self) -> PerMinute:
        """What this worker may use a second; None where something is not limited."""
        return PerMinute(self._rate(0), self._rate(1))

    def used_share(self, now: float, seconds: float) -> float:
        """The largest share of a whole limit that was used lately."""
        pairs = (self._provider, *self._by_model.values())
        limits = [limit for pair in pairs for limit in pair if limit is not None]
        return max((one.used_share(now, seconds) for one in limits), default=0.0)

    def _limits(
        self, given: PerMinute, now: float
    ) -> tuple[MinuteLimit | None, MinuteLimit | None]:
        return self._limit(given.requests, now), self._limit(given.tokens, now)

    def _limit(self, per_minute: float | None, now: float) -> MinuteLimit | None:
        return None if per_minute is None else MinuteLimit(per_minute, self._share, now)

    def _model(self, model: str) -> tuple[MinuteLimit | None, MinuteLimit | None]:
        return self._by_model.get(model, (None, None))

    def _corrected(
        self,
        of_provider: MinuteLimit | None,
        of_model: MinuteLimit | None,
        own: float | None,
        said: Left,
        now: float,
    ) -> MinuteLimit | None:
        """The model's limit after the provider has spoken."""
        if of_model is None and of_provider is None:
            of_model = self._limit(said.limit or None, now)
        concerned = of_model or of_provider
        if concerned is None:
            return of_model
        if concerned is of_model and said.limit:
            known = min(said.limit, math.inf if own is None else own)
            if known != concerned.per_minute:
                concerned.change(now, per_minute=known)
        if said.left is not None:
            concerned.left_at_provider(said.left, now)
        return of_model

    def _rate(self, which: int) -> float | None:
        found = []
        if (limit := self._provider[which]) is not None:
            found.append(limit.rate)
        by_model = [pair[which] for pair in self._by_model.values()]
        if by_model and all(by_model):
            found.append(sum(limit.rate for limit in by_model if limit is not None))
        return min(found, default=None)
