"""What assembling and publishing a streamed answer costs a worker, for each chunk of the provider.

`python -m broker.bench.stream_cpu SETTINGS SECONDS` feeds the bytes of many streams, as they would
come, through the dialect's assembler into real chunks on a real broker, and prints the CPU time of
its whole process for each chunk, in microseconds. Reading the bytes from a socket is not in it.
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import uvloop

from broker.bench.deployment import PROVIDER, Deployment
from broker.bench.failing import MeasurementFailedError
from broker.bench.own_process import measured_apart
from broker.bench.prompts import bench_work
from broker.bench.stand_in import stream_events
from broker.log.chunk_publisher import ChunkPublisher
from broker.log.clients import producer_config
from broker.log.topic_names import TopicNames
from broker.settings import Settings, load_settings
from broker.supervisor.parent_death import follow_parent
from broker.telemetry.metrics import WorkerMetrics
from workers.providers.registry import adapter_for
from workers.streaming import Streams
from workers.tallies import Tallies

_STREAMS: Final = 64
_GROUPS: Final = 4
"""Of streams whose chunks come at the same moment."""
_TOKENS: Final = 100
"""Of one answer."""
_EVERY_S: Final = 0.02
"""How far apart the chunks of one stream come: 50 tokens a second."""
_WARM_S: Final = 1.0
_FLUSH_S: Final = 10.0


async def stream_cpu(deployment: Deployment, seconds: float) -> float:
    """Microseconds of CPU for each chunk; raises MeasurementFailedError."""
    told = await measured_apart(
        "stream_cpu", deployment.config, seconds, doing="Publishing streams"
    )
    return float(told["us"])


class _Fed:
    """One stream after the other of one prompt, chunk by chunk."""

    def __init__(self, number: int, streams: Streams, settings: Settings) -> None:
        self._streams = streams
        self._work = bench_work(f"stream-{number}", stream=True)
        self._adapter = adapter_for(settings.provider(PROVIDER))
        self._events = stream_events(_TOKENS)
        self._attempt = 0
        self._begin()
        # So that not all of them begin and end together.
        for _ in range(number % len(self._events)):
            self.feed()

    def _begin(self) -> None:
        self._attempt += 1
        self._place = 0
        self._assembler = self._adapter.assembler(self._work)
        self._stream = self._streams.begin(self._work, self._attempt, time.time())

    def feed(self) -> None:
        """The next chunk of the provider comes."""
        pieces = self._assembler.feed(self._events[self._place])
        if pieces:
            self._stream.take(pieces)
        self._place += 1
        if self._place == len(self._events):
            answer = self._assembler.answer()
            self._stream.end("ok", answered=True, usage=answer.usage, finish_reason="stop")
            self._begin()


async def _measured(settings: Settings, seconds: float) -> float:
    topic = TopicNames(settings.kafka.prefix).chunks
    metrics = WorkerMetrics()
    lost = metrics.chunks.labels("lost")
    publisher = ChunkPublisher(producer_config(settings), topic, settings.topics.chunks, lost.inc)
    every_s = settings.worker.chunk_every_ms / 1000
    streams = Streams(publisher, PROVIDER, every_s, Tallies(metrics))
    fed = [_Fed(number, streams, settings) for number in range(_STREAMS)]
    await _feed(fed, _WARM_S)
    before = time.process_time()
    turns = await _feed(fed, seconds)
    fed_at = time.process_time()
    # What it costs to wait for each moment is the bench's own, not a worker's.
    await _feed((), seconds)
    used = (fed_at - before) - (time.process_time() - fed_at)
    streams.close()
    left = await asyncio.to_thread(publisher.flush, _FLUSH_S)
    value = metrics.registry.get_sample_value("weighbridge_chunks_total", {"fate": "lost"})
    if left or value:
        raise MeasurementFailedError(f"{left} chunks were not written, {value} lost.")
    return used / (turns * _STREAMS / _GROUPS) * 1e6


async def _feed(fed: Sequence[_Fed], seconds: float) -> int:
    """Each stream gets a chunk every `_EVERY_S`; at how many moments chunks came."""
    loop = asyncio.get_running_loop()
    began, turns = loop.time(), int(seconds / _EVERY_S) * _GROUPS
    for turn in range(turns):
        due = began + turn * _EVERY_S / _GROUPS
        await asyncio.sleep(max(0.0, due - loop.time()))
        for each in fed[turn % _GROUPS :: _GROUPS]:
            each.feed()
    return turns


if __name__ == "__main__":
    follow_parent()
    given, long = Path(sys.argv[1]), float(sys.argv[2])
    sys.stdout.write(json.dumps({"us": uvloop.run(_measured(load_settings(given), long))}))
