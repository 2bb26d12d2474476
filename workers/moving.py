"""Where work goes that this provider cannot do: the next one, by the same rules as the first."""

from collections.abc import Callable, Mapping, Sequence

from broker.core.capabilities import lacking
from broker.core.lanes import Lane
from broker.core.needs import needs_of
from broker.core.provider_view import ProviderView
from broker.core.routing import Decision, NoDecision, Request, RoutingRules, choose
from broker.records.prompt import Catalog
from broker.records.providers import ProviderState
from broker.records.work import Work
from workers.job import Job


class Mover:
    """Chooses among the providers that a job has not been with. Used on the event loop."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        rules: RoutingRules,
        reports: Callable[[], Mapping[str, Sequence[ProviderState]]],
        now: float,
    ) -> None:
        self._catalog = catalog
        self._rules = rules
        self._reports = reports
        self._view = ProviderView(now)

    def wait_limit(self, lane: Lane) -> float:
        """How long a prompt of this lane may wait at one provider while another could take it."""
        return self._rules.wait_limits[lane]

    def choose(self, job: Job, because: str, now: float) -> Decision | NoDecision:
        """The next provider, or why there is none. `because` follows this provider's name."""
        self._view.update(self._reports())
        work = job.work
        request = Request(
            lane=job.lane,
            weight=work.weight,
            pin=work.provider,
            tried=tuple(step.provider for step in work.route),
            moves=work.moves,
            because=because,
            lacking=self._lacking(work),
        )
        providers = self._catalog.providers.get(work.model, ())
        return choose(request, self._view.candidates(providers, now), self._rules)

    def _lacking(self, work: Work) -> Mapping[str, str]:
        """Who cannot be asked it at all."""
        offers = self._catalog.offers.get(work.model)
        if not offers:
            return {}
        return lacking(offers, offers, needs_of(work.fields, work.kind), work.input_tokens)

    def moved(self, job: Job, to: str, now: float) -> None:
        """Take note of a move, so that the next choice counts it before the reports do."""
        self._view.sent(to, job.work.weight, now)
