"""Providers of a replay that behave as the journal's calls did."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from broker.settings import Settings
from broker.settings.simulated import CloudSettings, FaultSettings, OutageSettings
from broker.simulate.asked import Asked
from broker.simulate.clouds import Capacity, Cloud
from broker.simulate.events import Events
from broker.simulate.fitted import FailureFit, ModelFit, ProviderFit
from broker.simulate.line_fit import between
from broker.simulate.models import simulated_clouds
from broker.simulate.replay import Delays, MakeCloud
from broker.simulate.served import Served
from workers.calling import CallResult
from workers.simulator.draws import draw
from workers.simulator.faults import FaultPlan

_LONG_QUEUE: Final = 100_000
"""Nobody knows how many a provider lets wait that was never seen to turn one away."""
_OK: Final = 200


class FittedLaw:
    """The law of one fitted provider; `seed` is that of the replay.

    A prompt whose answer was slow or quick in the log is so again, by as much as that is worth
    here: `luck` has the share of calls that had it no worse. Others draw theirs.
    """

    def __init__(self, name: str, fit: ProviderFit, luck: Mapping[str, float], seed: int) -> None:
        self._name = name
        self._luck = luck
        self._seed = seed
        self._models = fit.models
        self._any = max(fit.models.values(), key=lambda one: one.answers, default=None)
        self._failures: list[tuple[float, CallResult]] = []
        upper = 0.0
        for failure in fit.failures:
            upper += failure.share
            self._failures.append((upper, _as_result(failure)))

    def served(self, asked: Asked, number: int, now: float) -> Served:
        """As a call of this length was, with the luck of this one."""
        del now
        identity = asked.prompt.id
        fault, factor = draw(self._seed, self._name, identity, number)[:2]
        for upper, result in self._failures:
            if fault < upper:
                return Served(0, result.seconds, result.seconds, failure=result)
        factor = self._luck.get(identity, factor)
        fit = self._models.get(asked.prompt.model, self._any)
        if fit is None:
            return Served(0, 0.0, 0.0, failure=_NEVER_ANSWERED)
        tokens = asked.output_tokens or 0
        first, whole = _seconds(fit, asked.input_tokens, tokens, factor)
        return Served(tokens, first, whole)


def _seconds(fit: ModelFit, tokens_in: int, tokens_out: int, luck: float) -> tuple[float, float]:
    base, per_in, per_out = fit.line
    times = between(fit.factors, luck)
    first = (base + per_in * tokens_in) * times
    return first, first + per_out * tokens_out * times


def _as_result(failure: FailureFit) -> CallResult:
    if failure.status == _OK and failure.transport is None:
        # An answer that a filter took back.
        return CallResult(failure.seconds, status=400, code="content_filter")
    return CallResult(
        failure.seconds,
        status=failure.status,
        code=failure.code,
        transport=failure.transport,
    )


_NEVER_ANSWERED: Final = CallResult(1.0, status=503)


def fitted_clouds(fits: Mapping[str, ProviderFit], settings: Settings, seed: int) -> MakeCloud:
    """Fitted providers; one that was never called behaves as `[simulator]` says of it."""
    simulated = simulated_clouds(settings)
    luck = {identity: share for fit in fits.values() for identity, share in fit.luck.items()}

    def make(provider: str, events: Events, delays: Delays) -> Cloud:
        fit = fits.get(provider)
        if fit is None or not fit.models:
            return simulated(provider, events, delays)
        own = settings.simulator.clouds.get(provider) or CloudSettings()
        seen = tuple(
            OutageSettings(starts_at=datetime.fromtimestamp(a, UTC), ends_at=_at(b))
            for a, b in fit.outages
        )
        faults = FaultSettings(outages=(*own.faults.outages, *seen), outage_as=own.faults.outage_as)
        return Cloud(
            events,
            FittedLaw(provider, fit, luck, seed),
            Capacity(fit.slots, _LONG_QUEUE),
            FaultPlan(faults, events.now),
            settings.provider(provider),
            call_s=delays.call_s,
        )

    return make


def _at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
