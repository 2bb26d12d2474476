"""Where work goes that this provider cannot do: the next one, by the same rules as the first."""

from collections.abc import Callable, Mapping, Sequence

from broker.core.candidates import Candidate, Standing
from broker.core.lanes import Lane
from broker.core.provider_view import ProviderView
from broker.core.route_reasons import Reason
from broker.core.route_terms import Load, Moving, RouteTerms
from broker.core.routing import Decision, NoDecision
from broker.records.providers import ProviderState
from workers.job import Job


class Mover:
    """Chooses among the providers that a job has not been with. Used on the event loop.

    `provider` and `worker` are this one's, as they stand in the reports; `reports` gives another
    mapping whenever one of them has changed.
    """

    def __init__(
        self,
        *,
        terms: RouteTerms,
        reports: Callable[[], Mapping[str, Sequence[ProviderState]]],
        now: float,
        provider: str = "",
        worker: str = "",
    ) -> None:
        self._terms = terms
        self._reports = reports
        self._looked_at: Mapping[str, Sequence[ProviderState]] | None = None
        self._view = ProviderView(now)
        self._own = ProviderView(now)
        self._provider = provider
        self._worker = worker

    def use(self, terms: RouteTerms) -> None:
        """Other policies, constraints and prices from the next choice on."""
        self._terms = terms

    def wait_limit(self, lane: Lane) -> float:
        """How long a prompt of this lane may wait at one provider while another could take it."""
        return self._terms.rules.wait_limits[lane]

    def choose(
        self, job: Job, because: str, now: float, cause: Reason = Reason.FAILED
    ) -> Decision | NoDecision:
        """The next provider, or why there is none. `because` follows this provider's name."""
        self._look()
        work = job.work
        load = Load(job.lane, work.weight, work.input_tokens, work.expected_output_tokens)
        tried = tuple(step.provider for step in work.route)
        moving = Moving(tried, because, cause, job.whole_cost.usd or 0.0)
        return self._terms.choose(work, load, self._view, now, moving)

    def here(self, lane: Lane, now: float) -> Candidate | None:
        """This worker as it would be chosen; None while it does not say or cannot be."""
        self._look()
        (found,) = self._own.candidates((self._provider,), now, lane)
        known = found.age_s is not None and found.standing is Standing.ABLE
        return found if known else None

    def moved(self, job: Job, to: str, now: float) -> None:
        """Take note of a move, so that the next choice counts it before the reports do."""
        self._view.sent(to, job.work.weight, now, job.lane)
        self._own.sent(self._provider, -job.work.weight, now, job.lane)

    def _look(self) -> None:
        reports = self._reports()
        if reports is self._looked_at:
            return
        self._looked_at = reports
        self._view.update(reports)
        pool = reports.get(self._provider, ())
        # The pool's other workers see the same and do the same.
        self._view.share = 1 / max(1, len(pool))
        mine = tuple(state for state in pool if state.worker == self._worker)
        self._own.update({self._provider: mine})
