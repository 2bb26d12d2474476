"""Writes records as the classifier and the workers would, without them."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from confluent_kafka import Consumer, Producer, TopicPartition

from broker.core.dedupe import home_partition
from broker.core.offsets import PartitionProgress
from broker.log.clients import admin_config, consumer_config, producer_config
from broker.log.topics import TopicNames, apply_topics
from broker.records.calls import CallEvent, encode_call
from broker.records.completion import Completion, Failure, encode_completion
from broker.records.incoming import Headers, Source
from broker.records.work import RouteStep, Work, encode_work, work_headers
from broker.settings import Settings, load_settings
from broker.story.log_reader import LogReader

SMALL = {"prompts": 2, "work": 4, "completions": 2, "calls": 1, "chunks": 1, "dead_letters": 1}


def small(settings: Settings) -> Settings:
    """The same broker and prefix, few partitions, topics made: quick to make and to read."""
    kafka = settings.kafka.model_dump(exclude_none=True)
    made = load_settings(kafka=kafka, topics=SMALL)
    apply_topics(made, admin_config(made))
    return made


class Seeder:
    """Writes to the topics of one deployment; `flush` before anybody reads."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.topics = TopicNames(settings.kafka.prefix)
        self._producer = Producer(producer_config(settings, **{"linger.ms": 20}))
        self._places: dict[int, tuple[int, int]] = {}
        self._count = 0

    def prompt(self, identity: str | None, *, away: bool = False, **fields: Any) -> int:
        """A prompt, at home or in another partition; a handle for `place`, after a flush."""
        value = {"prompt": "Why is the sky blue?", **fields}
        partition = 0
        if identity is not None:
            value["id"] = identity
            partition = home_partition(identity, self.settings.topics.prompts)
        if away:
            partition = (partition + 1) % self.settings.topics.prompts
        return self.raw(orjson.dumps(value), partition, key=(identity or "").encode() or None)

    def forwarded(self, identity: str, origin: str, accepted: str, **fields: Any) -> int:
        """The copy of a prompt that arrived elsewhere, as the classifier sends it home."""
        value = orjson.dumps({"prompt": "Why is the sky blue?", "id": identity, **fields})
        headers = (
            ("weighbridge-origin", origin.encode()),
            ("weighbridge-accepted-at", accepted.encode()),
        )
        home = home_partition(identity, self.settings.topics.prompts)
        return self.raw(value, home, key=identity.encode(), headers=headers)

    def raw(
        self,
        value: bytes | None,
        partition: int,
        *,
        key: bytes | None = None,
        headers: Headers = (),
    ) -> int:
        """Any bytes into the prompts."""
        return self.write(self.topics.prompts, value, partition, key=key, headers=headers)

    def write(
        self,
        topic: str,
        value: bytes | None,
        partition: int,
        *,
        key: bytes | None = None,
        headers: Headers = (),
    ) -> int:
        """Any record into any topic."""
        number = self._count
        self._count += 1

        def note(error: object, message: Any) -> None:
            assert error is None, error
            self._places[number] = (message.partition(), message.offset())

        while True:
            try:
                self._producer.produce(
                    topic, value, key, partition, headers=list(headers), on_delivery=note
                )
            except BufferError:
                self._producer.poll(0.1)
            else:
                return number

    def place(self, handle: int) -> tuple[int, int]:
        """Partition and offset."""
        return self._places[handle]

    def flush(self) -> None:
        """Everything is in the log."""
        assert self._producer.flush(30) == 0

    def work(self, work: Work) -> int:
        """A work record in the topic of the route's end; its lane's first partition."""
        lanes = self.settings.lane_plan().partitions
        topic = self.topics.work(work.route[-1].provider)
        return self.write(
            topic,
            encode_work(work),
            lanes[work.lane].start,  # type: ignore[index]  # the lane is one of ours
            key=work.id.encode(),
            headers=work_headers(work),
        )

    def call(self, event: CallEvent) -> int:
        """A line of the journal."""
        return self.write(self.topics.calls, encode_call(event), 0, key=event.id.encode())

    def completion(self, completion: Completion) -> int:
        """A completion."""
        number = len(completion.id) % self.settings.topics.completions
        value = encode_completion(completion)
        return self.write(self.topics.completions, value, number, key=completion.id.encode())

    def open_transaction(self, *completions: Completion) -> Producer:
        """A transaction of another producer that holds these completions, to commit or abort."""
        name = f"{self.settings.kafka.prefix}-{self._count}"
        self._count += 1
        producer = Producer(producer_config(self.settings, **{"transactional.id": name}))
        producer.init_transactions(30)
        producer.begin_transaction()
        for completion in completions:
            number = len(completion.id) % self.settings.topics.completions
            value, key = encode_completion(completion), completion.id.encode()
            producer.produce(self.topics.completions, value, key, number)
        assert producer.flush(30) == 0
        return producer

    def classified(self) -> None:
        """The classifier has done every prompt that is there."""
        self.flush()
        with LogReader(self.settings) as reader:
            ends = {span.partition: span.end for span in reader.spans(self.topics.prompts)}
        self.commit(f"{self.settings.kafka.prefix}.classifier", self.topics.prompts, ends)

    def commit(self, group: str, topic: str, bases: Mapping[int, int]) -> None:
        """The group has done everything below these offsets."""
        self.commit_out_of_order(group, topic, bases, ())

    def commit_out_of_order(
        self, group: str, topic: str, bases: Mapping[int, int], done: Sequence[int]
    ) -> None:
        """As `commit`, with the offsets of `done` done past the base."""
        places = []
        for partition, base in bases.items():
            progress = PartitionProgress(base)
            for offset in range(base, max(done, default=base - 1) + 1):
                progress.delivered(offset)
            progress.confirm(done)
            at, metadata = progress.commit()
            places.append(TopicPartition(topic, partition, at, metadata=metadata))
        consumer = Consumer(consumer_config(self.settings, **{"group.id": group}))
        try:
            consumer.commit(offsets=places, asynchronous=False)
        finally:
            consumer.close()


def step(provider: str, reason: str = "azure is preferred and waits 0.1 s", at: float = 0.0) -> Any:
    """One step of a route."""
    return RouteStep(provider, reason, at)


def work_of(identity: str, accepted_at: float, *route: RouteStep, **changed: Any) -> Work:
    """A light piece of work."""
    given: dict[str, Any] = {
        "id": identity,
        "tenant": "default",
        "kind": "chat",
        "model": "chat-small",
        "priority": "standard",
        "provider": None,
        "deadline": None,
        "stream": False,
        "accepted_at": accepted_at,
        "source": Source(0, 0),
        "reply_partition": None,
        "weight": 1200,
        "lane": "light",
        "input_tokens": 6,
        "expected_output_tokens": 300,
        "attempt": 0,
        "route": route,
        "fields": {"prompt": "Why is the sky blue?"},
        "metadata": {},
    }
    return Work(**{**given, **changed})


def completion_of(
    identity: str, accepted_at: float, ms: float = 800.0, *, status: Any = "succeeded", **given: Any
) -> Completion:
    """A completion by azure in the light lane."""
    failed = Failure("provider", "500", "The provider failed.", 500) if status == "failed" else None
    values: dict[str, Any] = {
        "id": identity,
        "tenant": "default",
        "status": status,
        "kind": "chat",
        "model": "chat-small",
        "provider": "azure",
        "provider_model": "gpt-5-mini",
        "lane": "light",
        "weight": 1200,
        "input_tokens": 6,
        "output_tokens": 40,
        "cost_usd": 0.001,
        "accepted_at": accepted_at,
        "completed_at": accepted_at + ms / 1000,
        "queued_ms": 100,
        "provider_ms": 700,
        "calls": 1,
        "route": (RouteStep("azure", "azure is preferred and waits 0.1 s", accepted_at),),
        "error": failed,
        "text": None if failed else "Because of Rayleigh scattering.",
    }
    return Completion(**{**values, **given})


def call_of(
    identity: str, attempt: int, at: float, *, ended: bool = False, **given: Any
) -> CallEvent:
    """The start, or the good end, of a call at azure."""
    values: dict[str, Any] = {
        "id": identity,
        "tenant": "default",
        "provider": "azure",
        "model": "chat-small",
        "attempt": attempt,
        "event": "ended" if ended else "started",
        "at": at,
    }
    if ended:
        values |= {"outcome": "ok", "http_status": 200, "ms": 700, "output_tokens": 40}
    return CallEvent(**{**values, **given})
