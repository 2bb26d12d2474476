"""Work, jobs and the parts of a worker for tests: real ones, but for Kafka."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import uvloop

from broker.core.breaker import Breaker, BreakerRules
from broker.core.lanes import LANES, Lane, LanePlan, default_ranges
from broker.core.prices import Prices
from broker.core.retries import RetryRules
from broker.core.retry_budget import RetryBudget
from broker.core.route_terms import RouteTerms
from broker.core.routing import RoutingRules
from broker.core.slots import SlotRules
from broker.log.topic_names import TopicNames
from broker.records.incoming import Headers, Source
from broker.records.prompt import Catalog
from broker.records.providers import ProviderState
from broker.records.work import RouteStep, Work
from broker.settings.providers import ProviderSettings, ServedModel
from broker.settings.sections import StoreSettings
from broker.store.claims import ClaimStore
from broker.store.reading import DataReader
from broker.telemetry.metrics import WorkerMetrics
from tests.workers.written import Chunks, Journal
from workers.attempt import Attempts
from workers.backlog import Backlog
from workers.calling import ProviderClient
from workers.claim_check import ClaimCheck
from workers.credentials import Key
from workers.dispatch import Dispatcher
from workers.endings import Deployment, Endings
from workers.exchange import CallLimits
from workers.hedging import Hedging
from workers.inputs import Inputs
from workers.job import Job, Place
from workers.moving import Mover
from workers.noting import Notes
from workers.providers.dialect import Adapter
from workers.providers.openai import OpenAI
from workers.quota_keeping import Allowance
from workers.streaming import Streams
from workers.tallies import Tallies

T = TypeVar("T")

TOPICS = TopicNames("t")
PLAN = LanePlan(2_000, 8_000, default_ranges(12))
PROVIDERS = ("azure", "google", "coreweave")
MODEL = "chat-small"
CHUNK_EVERY_S = 0.02
LIMITS = CallLimits(connect=2.0, first_byte=2.0, between_bytes=2.0, total=10.0)


def on_loop(main: Awaitable[T], deadline_s: float = 60.0) -> T:
    """Run on the event loop that workers use."""

    async def bounded() -> T:
        async with asyncio.timeout(deadline_s):
            return await main

    return uvloop.run(bounded())


async def until(true: Callable[[], object], deadline_s: float = 20.0) -> None:
    """Poll until it is so; fails at the deadline."""
    ends = time.monotonic() + deadline_s
    while not true():
        assert time.monotonic() < ends, "not in time"
        await asyncio.sleep(0.002)


def work(
    prompt_id: str = "a",
    *,
    text: str = "Why is the sky blue?",
    fields: Mapping[str, Any] | None = None,
    route: Sequence[str] = ("azure",),
    headers: Headers = (),
    **given: Any,
) -> Work:
    """A light chat prompt that stands in azure's topic."""
    asked = {"prompt": text, **(fields or {})}
    usual: dict[str, Any] = {
        "tenant": "default",
        "kind": "chat",
        "model": MODEL,
        "priority": "standard",
        "provider": asked.get("provider"),
        "deadline": None,
        "stream": asked.get("stream", False),
        "accepted_at": time.time(),
        "source": Source(0, 7),
        "reply_partition": None,
        "weight": 100,
        "lane": "light",
        "input_tokens": 6,
        "expected_output_tokens": 20,
        "attempt": 0,
        "route": tuple(RouteStep(name, "preferred", time.time()) for name in route),
        "metadata": asked.get("metadata") or {},
    }
    return Work(id=prompt_id, fields=asked, headers=headers, **{**usual, **given})


def job(
    given: Work | None = None, *, partition: int = 0, offset: int = 0, epoch: int = 1, size: int = 9
) -> Job:
    """A job as it arrives; its lane is that of its partition."""
    given = given or work()
    lane = PLAN.lane_of(partition)
    assert lane is not None
    place = Place(TOPICS.work("azure"), partition, offset, epoch)
    return Job(place, lane, size, given, calls=given.attempt)


def partition_of(lane: Lane) -> int:
    """The first partition of a lane."""
    return PLAN.partitions[lane].start


def report(
    provider: str, *, waiting_weight: int = 0, speed: float | None = 100.0, **given: Any
) -> ProviderState:
    """A worker's report, as fresh as can be."""
    usual: dict[str, Any] = {
        "at": time.time(),
        "breaker": "closed",
        "in_flight": 0,
        "slots": 8,
        "waiting": 0,
        "waiting_by_lane": {},
        "in_flight_by_lane": {},
    }
    return ProviderState(
        provider=provider,
        worker=f"{provider}-0",
        waiting_weight=waiting_weight,
        speed=speed,
        **{**usual, **given},
    )


@dataclass
class Bench:
    """One provider's worker without Kafka; `reports` is what the others say of themselves."""

    attempts: Attempts
    journal: Journal
    chunks: Chunks
    metrics: WorkerMetrics
    backlog: Backlog
    dispatcher: Dispatcher
    budget: RetryBudget
    reports: dict[str, tuple[ProviderState, ...]] = field(default_factory=dict)

    @property
    def breaker(self) -> Breaker:
        """The breaker in front of the provider."""
        return self.attempts.breaker

    def value(self, name: str, **labels: str) -> float:
        """A metric's value; 0 when it has none yet."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


def deployment(*, by_key: bool = False) -> Deployment:
    """Topics of twelve, six and three partitions."""
    return Deployment("azure", TOPICS, 6, 3, dict.fromkeys(PROVIDERS, PLAN), by_key=by_key)


def bench(
    url: str,
    *,
    limits: CallLimits = LIMITS,
    rules: RetryRules | None = None,
    breaker: BreakerRules | None = None,
    slots: int = 8,
    max_moves: int = 3,
    budget: RetryBudget | None = None,
    wait_for_journal: bool = True,
    max_record_bytes: int = 900_000,
    store: str | StoreSettings = "",
    models: Mapping[str, str] | None = None,
    provider: ProviderSettings | None = None,
    hedge_after_s: float | None = None,
    adapter: Adapter | None = None,
) -> Bench:
    """A worker of azure that calls `url`, beside google and coreweave; inside the event loop."""
    journal, metrics = Journal(), WorkerMetrics()
    kept_in = StoreSettings(url=store) if isinstance(store, str) else store
    reports: dict[str, tuple[ProviderState, ...]] = {}
    served = models or {MODEL: "gpt-deployed"}
    endings = Endings(deployment(), dict.fromkeys(served, Prices(1.0, 2.0)), served)
    tallies, chunks = Tallies(metrics), Chunks()
    streams = Streams(chunks, "azure", CHUNK_EVERY_S, tallies)
    dispatcher = Dispatcher(SlotRules(slots))
    given = provider or ProviderSettings(max_in_flight=slots)
    allowance = Allowance("azure-0", given, dispatcher, time.time())
    allowance.assigned(PLAN.total, PLAN.total, time.time())
    budget = budget or RetryBudget(0.5, floor=1_000)
    notes = Notes("azure", journal, wait_for_journal, streams, endings, tallies)
    client = ProviderClient(
        base_url=url,
        adapter=adapter or OpenAI(ProviderSettings()),
        limits=limits,
        credential=Key({"Authorization": "Bearer sk-secret-marker"}),
        models={alias: ServedModel(name=name) for alias, name in served.items()},
        trace_headers=True,
    )
    attempts = Attempts(
        provider="azure",
        client=client,
        notes=notes,
        breaker=Breaker(breaker or BreakerRules()),
        rules=replace(rules or RetryRules(base_s=0.01, cap_s=0.05), table=OpenAI.retries),
        mover=Mover(
            terms=RouteTerms(
                Catalog({MODEL: "chat"}, {"chat": MODEL}, {MODEL: PROVIDERS}),
                RoutingRules(dict.fromkeys(LANES, 1.0), max_moves=max_moves),
            ),
            reports=lambda: reports,
            now=time.time(),
            provider="azure",
            worker="azure-0",
        ),
        endings=endings,
        tallies=tallies,
        claim_check=ClaimCheck(lambda: ClaimStore(kept_in, "cluster/t"), max_record_bytes),
        inputs=Inputs(
            lambda: DataReader(kept_in),
            max_bytes=kept_in.max_input_bytes,
            max_held=kept_in.max_inputs_held_bytes,
        ),
        allowance=allowance,
        hedging=Hedging(hedge_after_s, client, notes, allowance, budget, OpenAI.retries),
    )
    return Bench(
        attempts,
        journal,
        chunks,
        metrics,
        Backlog(max_records=10_000, max_bytes=10_000_000),
        dispatcher,
        budget,
        reports,
    )
