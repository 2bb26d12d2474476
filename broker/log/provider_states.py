"""The newest state of every worker, from the compacted topic, and how a worker writes its own."""

import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final

from confluent_kafka import Consumer, KafkaException, TopicPartition

from broker.log.acknowledged_producer import AcknowledgedProducer
from broker.log.clients import consumer_config
from broker.log.topic_names import TopicNames
from broker.records.errors import BadRecordError
from broker.records.providers import ProviderState, decode_state, encode_state
from broker.settings import Settings
from broker.telemetry.logs import get_logger

FORGET_S: Final = 120.0
"""A worker that has been silent for so long is forgotten; routing distrusts it much earlier."""
_POLL_S: Final = 0.25
_BATCH: Final = 500
_REQUEST_S: Final = 10.0
_PAUSE_S: Final = 1.0
_CLOSE_S: Final = 5.0


class ProviderStatesReader:
    """Follows `<prefix>.providers` on a thread of its own; any thread may ask for a `snapshot`."""

    def __init__(self, settings: Settings) -> None:
        self._topic = TopicNames(settings.kafka.prefix).providers
        self._client = consumer_config(
            settings,
            **{
                "group.id": f"{self._topic}.reader",  # asked for by librdkafka, never joined
                "isolation.level": "read_uncommitted",
                "fetch.wait.max.ms": 200,
            },
        )
        self._states: dict[str, ProviderState] = {}
        self._shown: Mapping[str, tuple[ProviderState, ...]] = {}
        self._closing = threading.Event()
        self._log = get_logger(topic=self._topic)
        self._thread = threading.Thread(target=self._run, name="provider-states", daemon=True)

    def start(self) -> None:
        """Begin to follow; until the first states are read the snapshot is empty."""
        self._thread.start()

    def snapshot(self) -> Mapping[str, tuple[ProviderState, ...]]:
        """The newest state of each worker by provider; the same object while nothing changed."""
        return self._shown

    def close(self) -> None:
        """Stop following."""
        self._closing.set()
        if self._thread.ident is not None:
            self._thread.join(_CLOSE_S)

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self._follow()
            except KafkaException as error:
                # What is known grows old and is distrusted by its age; so try again, for ever.
                self._log.warning("states_unreadable", why=error.args[0].name())
                self._closing.wait(_PAUSE_S)

    def _follow(self) -> None:
        consumer = Consumer(self._client)
        try:
            topic = consumer.list_topics(self._topic, timeout=_REQUEST_S).topics[self._topic]
            if topic.error is not None:  # not there yet: without partitions nothing would ever come
                raise KafkaException(topic.error)
            consumer.assign([TopicPartition(self._topic, number, 0) for number in topic.partitions])
            while not self._closing.is_set():
                self._take(consumer.consume(_BATCH, _POLL_S))
        finally:
            consumer.close()

    def _take(self, messages: list[Any]) -> None:
        changed = False
        for message in messages:
            if message.error() is not None:
                if message.error().fatal():
                    raise KafkaException(message.error())
                continue
            changed = self._note(message.key(), message.value()) or changed
        horizon = time.time() - FORGET_S
        gone = [worker for worker, state in self._states.items() if state.at < horizon]
        for worker in gone:
            del self._states[worker]
        if changed or gone:
            by_provider: defaultdict[str, list[ProviderState]] = defaultdict(list)
            for state in self._states.values():
                by_provider[state.provider].append(state)
            # A provider whose workers are all gone is shown as having none.
            known = {**dict.fromkeys(self._shown, ()), **by_provider}
            self._shown = {provider: tuple(states) for provider, states in known.items()}

    def _note(self, key: bytes | None, value: bytes | None) -> bool:
        worker = (key or b"").decode("utf-8", "replace")
        if value is None:
            return self._states.pop(worker, None) is not None
        try:
            self._states[worker] = decode_state(value)
        except BadRecordError as error:
            self._log.warning("bad_provider_state", code=error.code)
            return False
        return True


class ProviderStatesWriter:
    """Writes one worker's state. Used on the event loop."""

    def __init__(self, producer: AcknowledgedProducer, topic: str) -> None:
        self._producer = producer
        self._topic = topic

    def publish(self, state: ProviderState) -> None:
        """Write the state; nobody waits for it."""
        self._producer.send_and_forget(self._topic, encode_state(state), key=state.key)

    def retire(self, key: bytes) -> None:
        """This worker leaves: nothing of it is to be expected."""
        self._producer.send_and_forget(self._topic, None, key=key)
