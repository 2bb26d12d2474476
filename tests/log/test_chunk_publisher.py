"""The publisher of chunks on a real broker: in order, by its own bounds, and never in the way."""

import asyncio
import time

import pytest

from broker.core.chunk_reading import ChunkReader
from broker.core.dedupe import home_partition
from broker.log import chunk_publisher
from broker.log.chunk_publisher import ChunkPublisher
from broker.log.clients import producer_config
from broker.log.topic_names import TopicNames
from broker.records.chunk import CallName, decode_chunk
from broker.settings import Settings
from broker.story.log_reader import LogReader
from broker.telemetry.metrics import WorkerMetrics
from tests.story.seeding import small
from tests.workers.building import on_loop, work
from workers.providers.dialect import Piece
from workers.streaming import Streams
from workers.tallies import Tallies

DEAD = {"bootstrap.servers": "127.0.0.1:9", "log_level": 0}


class Lost:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


def publisher(config: dict[str, object], topic: str, partitions: int, lost: Lost) -> ChunkPublisher:
    return ChunkPublisher(config, topic, partitions, lost)


def test_many_streams_are_read_back_whole_each_from_one_partition(settings: Settings) -> None:
    made = small(settings)
    topic, partitions = TopicNames(made.kafka.prefix).chunks, made.topics.chunks
    lost = Lost()

    async def main() -> None:
        to = publisher(producer_config(made), topic, partitions, lost)
        streams = Streams(to, "azure", 0.005, Tallies(WorkerMetrics()))
        under_way = [
            streams.begin(work(f"p{number}"), 1, time.time() + number) for number in range(40)
        ]
        for turn in range(30):
            for number, stream in enumerate(under_way):
                stream.take([Piece(0, {"content": f"{number}.{turn} "})])
            await asyncio.sleep(0.002)
        for stream in under_way:
            stream.end("ok", answered=True, finish_reason="stop")
        streams.close()
        assert to.flush(20) == 0

    on_loop(main())
    assert lost.count == 0
    readers: dict[str, ChunkReader] = {}
    with LogReader(made) as reader:
        for batch in reader.read(reader.spans(topic)):
            for message in batch:
                chunk = decode_chunk(message.value())
                assert message.partition() == home_partition(chunk.id, partitions)
                assert dict(message.headers())["event"] == chunk.event.encode()
                readers.setdefault(chunk.id, ChunkReader()).take(chunk)
    assert len(readers) == 40
    for number in range(40):
        found = readers[f"p{number}"]
        assert found.whole
        assert found.text == "".join(f"{number}.{turn} " for turn in range(30))
        assert found.call is not None
        assert found.call.attempt == CallName(1, 0.0).attempt


def test_without_a_broker_it_takes_so_much_and_then_no_more_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(chunk_publisher, "MOST_WAITING", 50)
    lost = Lost()
    to = publisher(DEAD, "nowhere", 1, lost)
    began = time.monotonic()
    taken = [to.publish(0, b"a", b"{}", []) for _ in range(200)]
    assert time.monotonic() - began < 5
    assert taken == [True] * 50 + [False] * 150
    assert to.serve() == 50
    assert lost.count == 0


def test_what_waits_too_long_is_lost_and_counted_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(chunk_publisher, "DELIVERY_S", 0.5)
    lost = Lost()
    to = publisher(DEAD, "nowhere", 1, lost)
    for _ in range(20):
        assert to.publish(0, b"a", b"{}", [])
    assert to.flush(20) == 0
    assert lost.count == 20
    assert to.publish(0, b"a", b"{}", []), "there is room again"


def test_a_record_that_the_client_refuses_for_good_is_lost_and_not_tried_again() -> None:
    lost = Lost()
    to = publisher({**DEAD, "message.max.bytes": 1_000}, "nowhere", 1, lost)
    assert to.publish(0, b"a", b"x" * 2_000, [])
    assert (lost.count, to.serve()) == (1, 0)
