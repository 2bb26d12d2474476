"""One worker process of a provider's pool, from start to drain.

Three threads: one reads (`intake`), one commits (`broker.log.transactions`), and the event loop
calls the provider (`answering`).
"""

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from typing import Final

from broker.core.pacing import Pacing
from broker.log.acknowledged_producer import AcknowledgedProducer
from broker.log.call_journal import CallJournal
from broker.log.cancel_reader import CancelReader
from broker.log.chunk_publisher import ChunkPublisher
from broker.log.clients import admin_config, consumer_config, producer_config
from broker.log.group_names import worker_group
from broker.log.progress_book import ProgressBook
from broker.log.progress_writer import ProgressWriter
from broker.log.provider_states import ProviderStatesReader, ProviderStatesWriter
from broker.log.topic_names import TopicNames
from broker.log.topic_shapes import read_shapes
from broker.log.transactions import TransactionalWriter
from broker.log.units import Unit
from broker.settings import Settings
from broker.telemetry.collecting import collect_less
from broker.telemetry.lifetime import Lifetime
from broker.telemetry.logs import get_logger
from broker.telemetry.metrics import WorkerMetrics
from broker.telemetry.open_files import allow_connections
from broker.telemetry.ops_server import OpsServer
from broker.telemetry.settings_watch import SettingsWatch
from workers.assignment import Hooks
from workers.fence import CachedFence
from workers.intake import Intake
from workers.parts import build_worker, consumer_settings, topics_of
from workers.progress import Given, Progress
from workers.reporting import Reporting, Subject

FLUSH_S: Final = 8.0
STOP_S: Final = 8.0
CLOSE_S: Final = 5.0
BEAT_S: Final = 0.5
_CANCELS_S: Final = 0.02
_SPARE_ROOM: Final = 1_000
"""Units that may wait for their transaction beside one for each call under way."""


class WorkerProcess:
    """`slot` names this worker among those of its pool: one process a slot, no two."""

    def __init__(self, settings: Settings, provider: str, slot: int) -> None:
        self._settings = settings
        self._provider = provider
        self._slot = slot
        self._bounds = settings.provider(provider)
        self._names = TopicNames(settings.kafka.prefix)
        self._group = worker_group(settings.kafka.prefix, provider)
        self._name = f"{self._group}-{slot}"
        self._log = get_logger(room="worker", provider=provider, slot=slot)
        self._metrics = WorkerMetrics()
        self._book = ProgressBook()
        self._fence = CachedFence()

    async def run(self) -> None:
        """Work until SIGTERM or SIGINT, then drain; raises WeighbridgeError when it cannot."""
        self._loop = asyncio.get_running_loop()
        self._life = Lifetime("The worker", self._log)
        shapes = await self._loop.run_in_executor(
            None, read_shapes, admin_config(self._settings), topics_of(self._settings)
        )
        producer = AcknowledgedProducer(producer_config(self._settings))
        publisher = ChunkPublisher(
            producer_config(self._settings),
            self._names.chunks,
            shapes.partitions[self._names.chunks],
            self._metrics.chunks.labels("lost").inc,
        )
        states = ProviderStatesReader(self._settings)
        cancels = CancelReader(self._settings, self._heard_cancels)
        writer = self._make_writer()
        worker = build_worker(
            self._settings,
            self._provider,
            shapes,
            worker=self._name,
            journal=CallJournal(producer, self._names.calls, shapes.partitions[self._names.calls]),
            publisher=publisher,
            committer=writer,
            metrics=self._metrics,
            reports=states.snapshot,
            cancels=cancels.cancels,
        )
        self._writer, self._worker, self._states = writer, worker, states
        self._cancels = cancels
        watch = SettingsWatch(self._settings, self._metrics.settings_reloads)
        watch.subscribe(worker.take)
        keep = worker.dispatcher.keep_for_light
        watch.subscribe(lambda new: self._life.on_loop(keep, new.lanes.reserved_light))
        self._intake = self._make_intake(shapes.partitions[self._names.work(self._provider)])
        ops = OpsServer(self._metrics.registry, live=self._live, ready=self._ready)
        port = await ops.start(self._settings.ops.host, self._settings.ops.port)
        self._log.info("ops_listening", host=self._settings.ops.host, port=port)
        states.start()
        cancels.start()
        watch.start()
        writer.start()
        try:
            # What was cancelled while nobody worked here must not begin.
            await self._loop.run_in_executor(None, cancels.wait_caught_up)
            self._intake.start()
            await self._work(
                ProviderStatesWriter(producer, self._names.providers),
                ProgressWriter(producer, self._names.progress),
            )
        finally:
            await self._loop.run_in_executor(None, writer.close, CLOSE_S)
            worker.streams.close()
            await self._loop.run_in_executor(None, publisher.flush, CLOSE_S)
            await producer.close(CLOSE_S)
            await self._loop.run_in_executor(None, states.close)
            await self._loop.run_in_executor(None, cancels.close)
            await self._loop.run_in_executor(None, watch.close)
            await worker.client.close()
            await ops.stop()
        self._life.raise_failure()

    def _make_writer(self) -> TransactionalWriter:
        return TransactionalWriter(
            client=producer_config(self._settings),
            group=self._group,
            transactional_id=self._name,
            progress=self._book,
            fence=self._fence,
            pacing=Pacing(),
            on_committed=self._committed,
            on_failed=self._life.fail_from_thread,
            max_pending=2 * self._bounds.max_in_flight + _SPARE_ROOM,
            observer=self._metrics,
            replace=self._without_answer,
        )

    def _make_intake(self, partitions: int) -> Intake:
        metrics, answering = self._metrics, self._worker.answering
        return Intake(
            client=consumer_config(
                self._settings, **consumer_settings(self._settings, self._group, self._name)
            ),
            topic=self._names.work(self._provider),
            lanes=self._settings.lane_plan(partitions),
            book=self._book,
            fence=self._fence,
            backlog=self._worker.backlog,
            hooks=Hooks(
                arrived=lambda batch: self._life.on_loop(answering.arrived, batch),
                dropped=lambda gone: self._life.on_loop(answering.dropped, gone),
                flush=self._writer.flush,
                failed=self._life.fail_from_thread,
                rebalanced=partial(self._rebalanced, partitions),
                metadata_unreadable=metrics.metadata_unreadable.inc,
            ),
        )

    async def _work(self, states: ProviderStatesWriter, told: ProgressWriter) -> None:
        worker = self._worker
        subject = Subject(
            self._provider,
            self._name,
            worker.dispatcher,
            worker.attempts.breaker,
            worker.attempts.tallies,
            worker.attempts.allowance,
            lambda: self._intake.lag,
            self._states.snapshot,
        )
        reporting = Reporting(subject, states.publish)
        given = Given(self._provider, self._name, worker.dispatcher, worker.attempts)
        running = (reporting.run(), self._beat(), Progress(given, told.publish).run())
        tasks = [self._loop.create_task(one) for one in running]
        for task in tasks:
            self._life.depends_on(task)
        self._log.info("started", group=self._group, slots=self._bounds.max_in_flight)
        try:
            await self._life.ending.wait()
        finally:
            await self._drain()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            states.retire(reporting.state(0.0).key)

    async def _drain(self) -> None:
        """Take nothing more, finish what runs, commit it, leave. Each step has its own end."""
        answering = self._worker.answering
        answering.stop_taking()
        self._intake.rest()
        run = partial(self._loop.run_in_executor, None)
        if not self._life.has_failed:
            given_up = await answering.finish(self._settings.worker.drain_s)
            done = await run(self._writer.flush, FLUSH_S)
            self._log.info("drained", all_committed=done, calls_given_up=given_up)
        else:
            await answering.finish(0.0)
        if not await run(self._intake.stop, STOP_S):
            self._log.warning("reading_thread_did_not_stop", after_s=STOP_S)

    async def _beat(self) -> None:
        worker = self._worker
        while True:
            attempts = worker.attempts
            now = time.time()
            breaker = attempts.breaker.state(now)
            attempts.tallies.stands(worker.dispatcher, breaker, self._writer.pending, now)
            worker.answering.pump()
            await asyncio.sleep(BEAT_S)

    def _rebalanced(self, of: int, event: str, count: int) -> None:
        """On the reading thread: the limits are shared by the partitions that are ours now."""
        self._metrics.rebalances.labels(event).inc(count)
        ours = len(self._intake.partitions)
        assigned = self._worker.attempts.allowance.assigned
        self._life.on_loop(assigned, ours, of, time.time())

    def _heard_cancels(self) -> None:
        """On the reader's thread. What comes in the next moment is looked for together with it."""
        self._life.on_loop(self._loop.call_later, _CANCELS_S, self._cancel)

    def _cancel(self) -> None:
        self._worker.answering.cancelled(self._cancels.take())

    def _without_answer(self, unit: Unit) -> Unit:
        return self._worker.without_answer(unit)

    def _committed(self, _units: Sequence[Unit]) -> None:
        """On the writer's thread: there is room again."""
        self._life.on_loop(self._worker.answering.pump)

    def _live(self) -> str | None:
        return self._life.problem or self._intake.problem

    def _ready(self) -> str | None:
        if self._life.ending.is_set():
            return "draining"
        return None if self._intake.joined else "not in the consumer group yet"


def run_worker(settings: Settings, provider: str, slot: int) -> None:
    """Run one worker until it is asked to end; on uvloop."""
    import uvloop  # noqa: PLC0415 - not every importer of this module runs one

    allow_connections()
    collect_less()

    async def main() -> None:
        await WorkerProcess(settings, provider, slot).run()

    uvloop.run(main())
