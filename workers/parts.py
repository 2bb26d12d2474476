"""What a worker is made of, from the settings: each part with its bounds, wired together."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from broker.core.breaker import Breaker, BreakerRules
from broker.core.cancels import Cancels
from broker.core.retries import RetryRules
from broker.core.retry_budget import RetryBudget
from broker.core.slots import SlotRules
from broker.log.topic_names import TopicNames
from broker.log.topic_shapes import Shapes
from broker.log.units import Unit
from broker.records.completion import Failure, encode_completion
from broker.records.providers import ProviderState
from broker.settings import Settings
from broker.settings.prices import prices_of
from broker.settings.route_terms import route_terms
from broker.store.claims import ClaimStore
from broker.store.names import folder_of
from broker.store.reading import DataReader
from broker.telemetry.metrics import WorkerMetrics
from workers.answering import Answering, Committer, Parts
from workers.attempt import Attempts
from workers.backlog import Backlog
from workers.calling import ProviderClient
from workers.claim_check import ClaimCheck
from workers.credentials import credential_for
from workers.dispatch import Dispatcher
from workers.endings import Deployment, Endings
from workers.exchange import CallLimits
from workers.hedging import Hedging
from workers.inputs import Inputs
from workers.job import Job, UnreadableWork
from workers.moving import Mover
from workers.noting import Journal, Notes
from workers.providers.registry import adapter_for
from workers.quota_keeping import Allowance
from workers.streaming import Publisher, Streams
from workers.tallies import Tallies

_RECORD_OVERHEAD: Final = 64 * 1024
"""Room that a completion's headers and its batch may take beside its value."""

Reports = Callable[[], Mapping[str, Sequence[ProviderState]]]


@dataclass(frozen=True, slots=True)
class Worker:
    """The parts that the process talks to."""

    answering: Answering
    attempts: Attempts
    backlog: Backlog
    client: ProviderClient
    dispatcher: Dispatcher
    streams: Streams

    def take(self, settings: Settings) -> None:
        """Other settings are in force, as far as they may change while it runs.

        Any thread may say so. Raises UsageError when they cannot be.
        """
        self.attempts.mover.use(route_terms(settings))
        self.dispatcher.use(settings.tenant_terms().share_of)

    def without_answer(self, unit: Unit) -> Unit:
        """The unit that ends a record of which something is too large for the broker.

        Any thread may ask.
        """
        endings, now = self.attempts.endings, time.time()
        if isinstance(unit.tag, UnreadableWork):
            return endings.unreadable(unit.tag, now, bare=True)
        if not isinstance(unit.tag, Job):
            raise TypeError(f"a unit of {type(unit.tag).__name__} is none of this worker's")
        error = Failure(
            "internal", "too_large", "The answer is larger than a record of the broker may be."
        )
        completion = endings.completion(unit.tag, "failed", now, error=error)
        return endings.completed(unit.tag, completion, encode_completion(completion))


def topics_of(settings: Settings) -> list[str]:
    """Every topic whose shape a worker has to know."""
    names = TopicNames(settings.kafka.prefix)
    work = [names.work(provider) for provider in settings.providers]
    return [names.completions, names.dead_letters, names.calls, names.chunks, *work]


def build_client(
    settings: Settings, provider: str, credential_failed: Callable[[], None] | None = None
) -> ProviderClient:
    """The provider's address and dialect; inside the event loop. Raises UsageError."""
    given = settings.provider(provider)
    adapter = adapter_for(given)
    simulated = settings.is_simulated(provider)
    return ProviderClient(
        base_url=settings.base_url(provider) + (adapter.root if simulated else ""),
        adapter=adapter,
        limits=CallLimits(
            given.connect_s, given.first_byte_s, given.between_bytes_s, given.total_s
        ),
        credential=credential_for(given, adapter, provider, credential_failed),
        models=given.models,
        trace_headers=given.trace_headers or simulated,
    )


def build_worker(
    settings: Settings,
    provider: str,
    shapes: Shapes,
    *,
    worker: str,
    journal: Journal,
    publisher: Publisher,
    committer: Committer,
    metrics: WorkerMetrics,
    reports: Reports,
    cancels: Cancels,
) -> Worker:
    """Wire a provider's worker together; inside the event loop. `worker` is its name."""
    given, bounds = settings.provider(provider), settings.worker
    endings = Endings(
        deployment_of(settings, provider, shapes),
        prices_of(settings, provider),
        {alias: served.name for alias, served in given.models.items()},
    )
    mover = Mover(
        terms=route_terms(settings),
        reports=reports,
        now=time.time(),
        provider=provider,
        worker=worker,
    )
    names = TopicNames(settings.kafka.prefix)
    limit = shapes.most_bytes.get(names.completions, bounds.max_record_bytes + _RECORD_OVERHEAD)
    folder = folder_of(shapes.cluster, settings.kafka.prefix)
    client = build_client(settings, provider, metrics.credential_failures.inc)
    tallies = Tallies(metrics)
    streams = Streams(publisher, provider, bounds.chunk_every_ms / 1000, tallies)
    notes = Notes(provider, journal, bounds.journal_before_call, streams, endings, tallies)
    dispatcher = Dispatcher(
        SlotRules(given.max_in_flight, light_share=settings.lanes.reserved_light),
        settings.tenant_terms().share_of,
    )
    allowance = Allowance(worker, given, dispatcher, time.time())
    budget, table = RetryBudget(bounds.retry_budget), client.retries
    hedge_after = None if bounds.hedge_after_ms is None else bounds.hedge_after_ms / 1000
    attempts = Attempts(
        provider=provider,
        client=client,
        notes=notes,
        breaker=Breaker(BreakerRules()),
        rules=RetryRules(
            base_s=bounds.retry_base_s,
            cap_s=bounds.retry_cap_s,
            max_calls=bounds.max_attempts,
            table=table,
        ),
        mover=mover,
        endings=endings,
        tallies=tallies,
        claim_check=ClaimCheck(
            cache(lambda: ClaimStore(settings.store, folder)),
            min(bounds.max_record_bytes, limit - _RECORD_OVERHEAD),
        ),
        inputs=Inputs(
            cache(lambda: DataReader(settings.store)),
            max_bytes=settings.store.max_input_bytes,
            max_held=settings.store.max_inputs_held_bytes,
        ),
        allowance=allowance,
        hedging=Hedging(hedge_after, client, notes, allowance, budget, table),
    )
    backlog = Backlog(max_records=bounds.max_waiting, max_bytes=bounds.max_waiting_bytes)
    parts = Parts(attempts, dispatcher, backlog, budget, committer, cancels)
    return Worker(Answering(parts), attempts, backlog, client, dispatcher, streams)


def deployment_of(settings: Settings, provider: str, shapes: Shapes) -> Deployment:
    """Where this provider's worker writes, on topics of these shapes."""
    names = TopicNames(settings.kafka.prefix)
    counts = shapes.partitions
    return Deployment(
        provider=provider,
        topics=names,
        completion_partitions=counts[names.completions],
        dead_letter_partitions=counts[names.dead_letters],
        work_lanes={
            name: settings.lane_plan(counts[names.work(name)]) for name in settings.providers
        },
        by_key=settings.completions.partition_by == "key",
    )


def consumer_settings(settings: Settings, group: str, instance: str) -> dict[str, Any]:
    """What the reading consumer is configured with, beyond the settings of every consumer."""
    session_ms = int(settings.kafka.session_timeout_s * 1000)
    return {
        "group.id": group,
        # A killed worker that comes back with the same name has its partitions at once.
        "group.instance.id": instance,
        "partition.assignment.strategy": "cooperative-sticky",
        "session.timeout.ms": session_ms,
        "heartbeat.interval.ms": max(100, session_ms // 5),
        "max.poll.interval.ms": max(300_000, session_ms),
        "fetch.wait.max.ms": 100,
        "queued.min.messages": 1_000,
        "queued.max.messages.kbytes": 16_384,
    }
