"""A whole deployment in virtual time: one classifier, and a pool of workers for each provider."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan
from random import Random
from typing import Final, Protocol

from broker.classifier.learning import Begun
from broker.core.output_length import Answered
from broker.core.routing import Decision
from broker.records.completion import Failure, Status
from broker.records.providers import ProviderState
from broker.records.work import RouteStep, Work
from broker.settings import Settings
from broker.simulate.asked import Asked
from broker.simulate.attempts import Followed
from broker.simulate.classifier import SimulatedClassifier
from broker.simulate.clouds import Cloud
from broker.simulate.events import Events
from broker.simulate.outcome import Outcome
from broker.simulate.pools import Pool
from broker.simulate.reports import Board
from broker.simulate.worker import SimulatedWorker
from workers.job import Job
from workers.reporting import LOOK_S

LONGEST_S: Final = 7 * 86_400.0
"""So long after the last prompt came, what is not done is left: topics keep it no longer."""


@dataclass(frozen=True, slots=True)
class Delays:
    """What the broker itself adds, in seconds.

    `route_s` from a prompt's acceptance to its work being read by a worker, `call_s` around a
    provider's call (the journal's acknowledgement, HTTP), `hand_on_s` from a move to the other
    worker, `report_s` from a worker's word to whoever routes by it.
    """

    route_s: float = 0.014
    call_s: float = 0.006
    hand_on_s: float = 0.016
    report_s: float = 0.02


class MakeCloud(Protocol):
    """Makes a provider of the replay."""

    def __call__(self, provider: str, events: Events, delays: Delays) -> Cloud:
        """The provider with this name in the settings."""


class Replay:
    """One replay of prompts (in the order in which they come) by one configuration.

    `workers` are the sizes of pools, by provider; one where it does not say.
    """

    def __init__(
        self,
        settings: Settings,
        prompts: Sequence[Asked],
        make_cloud: MakeCloud,
        *,
        delays: Delays,
        seed: int,
        workers: Mapping[str, int] | None = None,
    ) -> None:
        began = prompts[0].prompt.accepted_at if prompts else 0.0
        self._events = events = Events(began)
        self._delays = delays
        self._outcome = Outcome(tuple(prompts), tuple(settings.providers), began)
        self._left = len(prompts)
        self._turn = 0
        self._looks: dict[str, int] = {}
        self._look_due: dict[str, float] = {}
        self._board = Board()
        self._classifier = SimulatedClassifier(settings, self._board, began)
        chance = Random(seed).random  # noqa: S311 - it spreads retries, repeatably
        sizes, plan = workers or {}, settings.lane_plan()
        self._pools: dict[str, Pool] = {}
        for provider in settings.providers:
            cloud = make_cloud(provider, events, delays)
            pool = [
                SimulatedWorker(
                    provider,
                    slot,
                    settings,
                    events,
                    cloud,
                    reports=self._board.reports,
                    chance=chance,
                    tell=self,
                    learn=self._journal,
                    learned=self._classifier.learned,
                )
                for slot in range(sizes.get(provider, 1))
            ]
            self._pools[provider] = Pool(pool, plan, began)

    def run(self) -> Outcome:
        """Replay all of it."""
        events, outcome = self._events, self._outcome
        if not outcome.prompts:
            return outcome
        for pool in self._pools.values():
            for worker in pool.workers:
                worker.reporter.publish = self._publish
                self._look_at(worker, events.now)
        events.at(events.now, self._come, 0)
        events.run(outcome.prompts[-1].prompt.accepted_at + LONGEST_S)
        outcome.events = events.handled
        return outcome

    def _come(self, number: int) -> None:
        """A prompt is accepted, and the next one is on its way."""
        events, prompts = self._events, self._outcome.prompts
        if number + 1 < len(prompts):
            events.at(prompts[number + 1].prompt.accepted_at, self._come, number + 1)
        asked = prompts[number]
        routed = self._classifier.route(asked, events.now)
        if isinstance(routed, Failure):
            status: Status = "expired" if routed.type == "expired" else "failed"
            self._outcome.end(number, status, routed.code, events.now)
            self._one_less()
            return
        self._outcome.reasons[routed.route[0].code] += 1
        self._hand(routed, asked, self._delays.route_s)

    def _hand(self, work: Work, asked: Asked, after_s: float) -> None:
        """Work is on its way to its provider's worker."""
        at = self._events.now + after_s
        if work.not_before is not None:
            at = max(at, work.not_before)
        self._turn += 1
        reader = self._pools[work.route[-1].provider].reader(work.lane, self._turn)
        self._events.at(at, self._arrive, (work, asked, reader))

    def _arrive(self, what: tuple[Work, Asked, SimulatedWorker]) -> None:
        work, asked, worker = what
        worker.arrived(work, asked, work.lane)
        if worker.reporter.is_stirred:
            soon = self._events.now + LOOK_S / 2
            if soon < self._look_due[worker.name]:
                self._look_at(worker, soon)

    def finished(self, provider: str, job: Job, end: Followed) -> None:
        """A prompt has its completion."""
        outcome, number, cost = self._outcome, job.work.source.offset, job.whole_cost
        outcome.end(
            number, end.status, end.code, self._events.now, lane=job.lane, provider=provider
        )
        outcome.cost[number] = nan if cost.usd is None else cost.usd
        outcome.estimated |= cost.estimated
        outcome.calls[number] = job.calls
        outcome.moves[number] = job.work.moves
        charged = job.work.charged
        if charged is not None:
            used = job.work.input_tokens + end.output_tokens if job.calls else 0
            self._classifier.tenants.ended(
                job.work.tenant, job.work.source, charged, used, cost.usd if job.calls else 0.0
            )
        self._one_less()

    def moved(self, provider: str, job: Job, asked: Asked, to: Decision) -> None:
        """Another provider gets it."""
        self._outcome.moved[provider, to.provider] += 1
        cost = job.whole_cost
        work = job.work.moved(
            RouteStep(to.provider, "", self._events.now, str(to.reason)),
            attempt=job.calls,
            cost_usd=cost.usd,
            cost_estimated=cost.estimated,
        )
        self._hand(work, asked, self._delays.hand_on_s)

    def _one_less(self) -> None:
        self._left -= 1
        if not self._left:
            self._events.stop()

    def _look(self, what: tuple[SimulatedWorker, int]) -> None:
        """A worker's turn to tell of itself; of two that were planned the later plan counts."""
        worker, number = what
        if number != self._looks[worker.name]:
            return
        worker.reporter.look(self._events.now)
        self._look_at(worker, worker.reporter.next_look(self._events.now))

    def _look_at(self, worker: SimulatedWorker, at: float) -> None:
        number = self._looks.get(worker.name, 0) + 1
        self._looks[worker.name] = number
        self._look_due[worker.name] = at
        self._events.at(at, self._look, (worker, number))

    def _journal(self, told: Answered | Begun) -> None:
        """A line of the journal, which the classifier reads a little later."""
        hear = self._classifier.learned.hear
        self._events.at(self._events.now + self._delays.report_s, hear, told)

    def _publish(self, state: ProviderState) -> None:
        self._events.at(self._events.now + self._delays.report_s, self._board.hear, state)
