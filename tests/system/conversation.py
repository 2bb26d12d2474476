"""Any record into the prompts of a running deployment, and all that comes of it."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from aiokafka import AIOKafkaProducer
from aiokafka.record.util import calc_crc32c
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from broker.core.dedupe import home_partition
from broker.log.clients import consumer_config, producer_config
from broker.log.topic_names import TopicNames
from broker.records.incoming import Headers
from broker.settings import Settings
from tests.faults.deployment import deployed

WITHIN_S = 60.0
_CRC_AT, _CRC_FROM = 17, 21
_LARGER_THAN_ANY = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record came to stand in the prompts. `accepted_ms` is the broker's time of it."""

    partition: int
    offset: int
    accepted_ms: int

    @property
    def id(self) -> str:
        """The id of a record that brought none."""
        return f"{self.partition}-{self.offset}"


@dataclass(frozen=True, slots=True)
class Found:
    """A record of one of our topics."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers

    @property
    def body(self) -> Any:
        return orjson.loads(self.value or b"null")

    def header(self, name: str) -> bytes | None:
        return dict(self.headers).get(name)


class Conversation:
    """Writes as any producer may, and reads a topic from the beginning, read-committed."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.topics = TopicNames(settings.kafka.prefix)
        self._producer = Producer(
            producer_config(settings, **{"message.max.bytes": _LARGER_THAN_ANY})
        )
        self._readers: dict[str, Any] = {}
        self._ends: dict[tuple[str, int], int] = {}
        self._read: defaultdict[str, list[Found]] = defaultdict(list)

    def close(self) -> None:
        for reader in self._readers.values():
            reader.close()

    def home(self, identity: str) -> int:
        """The partition that an id belongs to."""
        return home_partition(identity, self.settings.topics.prompts)

    def try_write(
        self, value: bytes | None, partition: int, key: bytes | None = None, headers: Headers = ()
    ) -> Place | KafkaError:
        """One record, acknowledged or refused."""
        answers: list[Place | KafkaError] = []

        def told(error: KafkaError | None, message: Any) -> None:
            answers.append(
                error or Place(message.partition(), message.offset(), message.timestamp()[1])
            )

        topic = self.topics.prompts
        self._producer.produce(topic, value, key, partition, told, headers=list(headers))
        assert self._producer.flush(30) == 0
        return answers[0]

    def write(
        self, value: bytes | None, partition: int, key: bytes | None = None, headers: Headers = ()
    ) -> Place:
        place = self.try_write(value, partition, key, headers)
        assert isinstance(place, Place), place
        return place

    def write_many(self, records: Iterable[tuple[bytes, int]]) -> None:
        """Values and their partitions, all acknowledged."""
        for value, partition in records:
            self._producer.produce(self.topics.prompts, value, partition=partition)
            self._producer.poll(0)
        assert self._producer.flush(60) == 0

    def ask(self, headers: Headers = (), **fields: Any) -> Place:
        """A JSON prompt with an id, where Java's clients would send it."""
        key = fields["id"].encode()
        return self.write(orjson.dumps(fields), self.home(fields["id"]), key, headers)

    def write_with_header_name(self, name: bytes, value: bytes, partition: int) -> Place:
        """One record with a header whose name no client of Python's can write."""
        return asyncio.run(self._write_raw(name, value, partition))

    async def _write_raw(self, name: bytes, value: bytes, partition: int) -> Place:
        stand_in = "n" * len(name)
        producer = AIOKafkaProducer(bootstrap_servers=self.settings.kafka.bootstrap)
        await producer.start()
        try:
            batch = producer.create_batch()
            given = [(stand_in, b"of a strange name")]
            batch.append(key=b"key", value=value, timestamp=None, headers=given)
            batch.close()
            data = bytearray(batch._build())  # noqa: SLF001 - no client writes such a name by itself
            at = data.index(stand_in.encode())
            data[at : at + len(name)] = name
            crc = calc_crc32c(bytes(data[_CRC_FROM:]))
            data[_CRC_AT:_CRC_FROM] = crc.to_bytes(4, "big")
            batch._buffer = bytes(data)  # noqa: SLF001 - as above
            sent = await producer.send_batch(batch, self.topics.prompts, partition=partition)
            written = await sent
        finally:
            await producer.stop()
        return Place(written.partition, written.offset, written.timestamp)

    def completions(self, ids: Iterable[str]) -> dict[str, Found]:
        """The completion of each of these.

        There must be exactly one, by all that is in the topic when the last of them has come.
        """
        wanted = set(ids)
        topic = self.topics.completions

        def there() -> set[str]:
            return {found.key.decode() for found in self.read(topic) if found.key}

        self._until(lambda: wanted <= there(), lambda: f"no completion of {wanted - there()}")
        by_id: defaultdict[str, list[Found]] = defaultdict(list)
        for found in self.read(topic):
            by_id[found.body["id"]].append(found)
        doubled = {identity for identity in wanted if len(by_id[identity]) != 1}
        assert not doubled, f"more than one completion of {doubled}"
        return {identity: by_id[identity][0] for identity in wanted}

    def completion(self, identity: str) -> Found:
        return self.completions([identity])[identity]

    def dead_letters(self) -> dict[str, Found]:
        """By the key of nothing but their place: `<partition>-<offset>` in the prompts."""
        found: dict[str, Found] = {}
        for letter in self.read(self.topics.dead_letters):
            partition, offset = letter.header("dlt-partition"), letter.header("dlt-offset")
            assert partition is not None
            assert offset is not None
            place = f"{partition.decode()}-{offset.decode()}"
            assert place not in found, f"two dead letters of {place}"
            found[place] = letter
        return found

    def work_of(self, identity: str) -> list[Found]:
        """Every work record of a prompt, whatever the provider."""
        return [
            found
            for provider in self.settings.providers
            for found in self.read(self.topics.work(provider))
            if found.key == identity.encode()
        ]

    def read(self, topic: str) -> list[Found]:
        """Everything committed in the topic so far."""
        reader = self._readers.get(topic)
        if reader is None:
            # A question for the ends waits behind the fetch under way.
            config = {"group.id": "talk", "enable.partition.eof": True, "fetch.wait.max.ms": 10}
            reader = self._readers[topic] = Consumer(consumer_config(self.settings, **config))
            there = reader.list_topics(topic, timeout=20).topics[topic].partitions
            reader.assign([TopicPartition(topic, number, 0) for number in there])
        ends = time.monotonic() + WITHIN_S
        open_ones = {
            place.partition
            for place in reader.assignment()
            if reader.get_watermark_offsets(TopicPartition(topic, place.partition), timeout=20)[1]
            > self._ends.get((topic, place.partition), 0)
        }
        while open_ones:
            assert time.monotonic() < ends, f"{topic} cannot be read to its end"
            for message in reader.consume(1_000, 0.1):
                if message.error() is None:
                    self._read[topic].append(_found(message))
                else:
                    assert message.error().code() == KafkaError._PARTITION_EOF  # noqa: SLF001 - its public name
                    self._ends[topic, message.partition()] = message.offset()
                    open_ones.discard(message.partition())
        return self._read[topic]

    def _until(self, condition: Any, missing: Any) -> None:
        ends = time.monotonic() + WITHIN_S
        while not condition():
            assert time.monotonic() < ends, missing()
            time.sleep(0.05)


def _found(message: Any) -> Found:
    return Found(
        message.topic(),
        message.partition(),
        message.offset(),
        message.key(),
        message.value(),
        tuple(message.headers() or ()),
    )


@contextmanager
def talking(settings: Settings, folder: Path) -> Iterator[Conversation]:
    """With a deployment of these settings; none of its processes may have ended."""
    with deployed(settings, folder) as deployment:
        conversation = Conversation(deployment.settings)
        try:
            yield conversation
        finally:
            conversation.close()
        assert all(member.runs for member in deployment.members.values()), "none may have ended"
