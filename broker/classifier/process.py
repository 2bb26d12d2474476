"""One classifier process, from start to drain."""

import asyncio
import contextlib
import time
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any, Final

from broker.classifier.app import ClassifierApp, create_app
from broker.classifier.counting import Counting
from broker.classifier.fence import FaustFence
from broker.classifier.identity import identifier
from broker.classifier.intake import Connection
from broker.classifier.parts import Parts
from broker.classifier.pipeline import Pipeline
from broker.classifier.rebuild import Callbacks, Job, Rebuild
from broker.classifier.rules import rules_of
from broker.classifier.stable_offsets import StableOffsets
from broker.classifier.tokens import token_counter
from broker.classifier.watchdog import Look, Watchdog, leave_at_once
from broker.classifier.windows import Windows
from broker.core.pacing import Pacing
from broker.log.aiokafka_security import aiokafka_security
from broker.log.clients import (
    admin_config,
    bootstrap_servers,
    client_options,
    consumer_config,
    producer_config,
)
from broker.log.group_fence import verify_layout
from broker.log.group_names import classifier_group
from broker.log.progress_book import ProgressBook
from broker.log.topic_names import TopicNames
from broker.log.topic_shapes import read_shapes
from broker.log.transactions import TransactionalWriter
from broker.log.units import Unit
from broker.settings import Settings
from broker.telemetry.collecting import collect_less
from broker.telemetry.lifetime import Lifetime
from broker.telemetry.logs import get_logger
from broker.telemetry.metrics import ClassifierMetrics
from broker.telemetry.ops_server import OpsServer

DRAIN_S: Final = 8.0
STOP_S: Final = 6.0
PATIENCE_S: Final = 60.0
"""How long nothing may move before the watchdog ends the process: longer than any rebalance."""
BEAT_S: Final = 0.5


class ClassifierProcess:
    """`slot` names this classifier among those of one deployment: one process a slot, no two."""

    def __init__(self, settings: Settings, slot: int) -> None:
        self._settings = settings
        self._slot = slot
        self._names = TopicNames(settings.kafka.prefix)
        self._group = classifier_group(settings.kafka.prefix)
        self._log = get_logger(room="classifier", slot=slot)
        self._metrics = ClassifierMetrics()
        self._beats = 0

    async def run(self) -> None:
        """Work until SIGTERM or SIGINT, then drain; raises WeighbridgeError when it cannot."""
        self._loop = asyncio.get_running_loop()
        self._life = Lifetime("The classifier", self._log)
        await self._loop.run_in_executor(None, self._prepare)
        self._compose()
        self._life.when_failing(self._pipeline.stop_taking)
        ops = OpsServer(self._metrics.registry, live=self._live, ready=self._ready)
        port = await ops.start(self._settings.ops.host, self._settings.ops.port)
        self._log.info("ops_listening", host=self._settings.ops.host, port=port)
        beat = self._loop.create_task(self._beat())
        self._life.depends_on(beat)
        try:
            await self._work()
        finally:
            beat.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await beat
            await ops.stop()
        self._life.raise_failure()

    def _prepare(self) -> None:
        """What takes time or asks the broker, before anything runs."""
        verify_layout()
        settings, names = self._settings, self._names
        topics = [names.prompts, names.completions, names.dead_letters]
        topics += [names.work(provider) for provider in settings.providers]
        if settings.tenant_terms().any_limits:
            topics += [names.tenants, names.tenant_totals]
        self._rules = rules_of(settings, read_shapes(admin_config(settings), topics))
        self._count_tokens = token_counter(settings.classifier.count_up_to_bytes)
        self._bootstrap = bootstrap_servers(settings)
        self._security = aiokafka_security(client_options(settings.kafka.client))

    def _compose(self) -> None:
        settings = self._settings
        self._windows = Windows(settings.dedupe.window_s, settings.dedupe.max_ids)
        self._counting = Counting(self._metrics, self._windows)
        self._fence = FaustFence(self._group)
        self._progress = ProgressBook()
        self._writer = TransactionalWriter(
            client=producer_config(settings),
            group=self._group,
            transactional_id=f"{self._group}-{self._slot}",
            progress=self._progress,
            fence=self._fence,
            pacing=Pacing(),
            on_committed=self._committed,
            on_failed=self._life.fail_from_thread,
            max_pending=settings.classifier.max_pending,
            observer=self._metrics,
        )
        self._parts = Parts(
            settings, self._rules, self._count_tokens, self._metrics, self._life.on_loop
        )
        self._pipeline = Pipeline(
            self._names.prompts,
            decider=self._parts.decider,
            writer=self._writer,
            progress=self._progress,
            windows=self._windows,
            make_rebuild=self._make_rebuild,
            counting=self._counting,
            before_slice=self._parts.before_slice,
            on_failed=self._life.fail,
        )
        self._offsets = StableOffsets(consumer_config(settings), self._group)
        self._app: ClassifierApp = create_app(
            group=self._group,
            bootstrap=self._bootstrap,
            connection=Connection(
                self._pipeline, self._offsets, self._security, self._names.prompts
            ),
            take=self._pipeline.take,
            instance_id=f"{self._group}-{self._slot}",
            session_timeout_s=settings.kafka.session_timeout_s,
        )
        self._watchdog = Watchdog(
            consumer_config(settings),
            self._names.prompts,
            self,
            patience_s=PATIENCE_S,
            on_stall=leave_at_once,
        )

    async def _work(self) -> None:
        self._parts.start()
        self._writer.start()
        crashed = None
        try:
            await self._loop.run_in_executor(None, self._parts.wait_ready)
            self._fence.watch(self._app.consumer._thread)  # noqa: SLF001 - Faust has no other way to its consumer
            await self._app.start()
            crashed = self._loop.create_task(self._app.wait_until_stopped())
            crashed.add_done_callback(lambda _task: self._life.ending.set())
            self._watchdog.start()
            self._log.info("started", group=self._group)
            await self._life.ending.wait()
            if self._app.crashed:
                self._life.fail(self._app.crash_reason)
        finally:
            await self._drain()
            if crashed is not None:
                crashed.cancel()

    async def _drain(self) -> None:
        """Stop taking, commit what is decided, leave. Each step has its own end."""
        self._pipeline.stop_taking()
        run = partial(self._loop.run_in_executor, None)
        if not self._life.has_failed:
            done = await run(self._writer.flush, DRAIN_S)
            self._log.info("drained", all_committed=done)
        try:
            await asyncio.wait_for(self._app.stop(), STOP_S)
        except TimeoutError:
            self._log.warning("faust_did_not_stop", after_s=STOP_S)
        await run(self._watchdog.stop)
        await run(self._writer.close, STOP_S)
        await run(self._parts.close)
        await run(self._offsets.close)

    def _make_rebuild(self, jobs: Mapping[int, Job]) -> Rebuild:
        remembered = {partition: job.remembered for partition, job in jobs.items()}
        tenants, filled = self._parts.tenants, self._pipeline.on_window_ready
        self._parts.assigned(jobs)

        def ready(partition: int, seconds: float) -> None:
            def note() -> None:
                self._counting.rebuilt(seconds)
                tenants.when_read(partial(filled, partition, remembered[partition]))

            self._life.on_loop(note)

        return Rebuild(
            consumer_config(self._settings),
            self._names.prompts,
            jobs,
            window_s=self._settings.dedupe.window_s,
            identify=identifier(self._rules.catalog),
            callbacks=Callbacks(ready, self._life.fail_from_thread),
        )

    def _committed(self, units: Sequence[Unit]) -> None:
        """On the writer's thread."""
        self._life.on_loop(self._pipeline.on_committed, units)

    async def _beat(self) -> None:
        while True:
            self._beats += 1
            self._counting.windows_are()
            self._metrics.writer_pending.set(self._pipeline.pending.units)
            self._parts.tenants.beat(time.time())
            await asyncio.sleep(BEAT_S)

    def _live(self) -> str | None:
        return self._life.problem

    def _ready(self) -> str | None:
        if self._life.ending.is_set():
            return "draining"
        if not self._fence.is_member() or not self._pipeline.is_assigned:
            return "not in the consumer group yet"
        filling = self._pipeline.not_ready
        return f"{filling} dedupe windows are being filled" if filling else None

    def partitions(self) -> Collection[int]:
        """For the watchdog, from its thread."""
        return self._pipeline.partitions

    def look(self, at: float, ends: Mapping[int, int]) -> Look:
        """For the watchdog, from its thread."""
        pipeline, thread = self._pipeline, self._app.consumer._thread  # noqa: SLF001 - as above
        return Look(
            at=at,
            beats=self._beats,
            member=self._fence.is_member(),
            positions={partition: thread.progress(partition) for partition in ends},
            ends=ends,
            undecided=max(0, pipeline.fetched - pipeline.decided),
            decided=pipeline.decided,
            pending=pipeline.pending.units,
            committed=pipeline.committed,
            filling=pipeline.not_ready,
        )


def run_classifier(settings: Settings, slot: int) -> Any:
    """Run one classifier until it is asked to end; on uvloop."""
    import uvloop  # noqa: PLC0415 - not every importer of this module runs one

    collect_less()

    async def main() -> None:
        await ClassifierProcess(settings, slot).run()

    uvloop.run(main())
