"""The newest state of every worker, from the compacted topic, and how a worker writes its own."""

import time
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final

from broker.log.acknowledged_producer import AcknowledgedProducer
from broker.log.clients import consumer_config
from broker.log.topic_follower import TopicFollower
from broker.log.topic_names import TopicNames
from broker.records.providers import ProviderState, decode_state, encode_state
from broker.settings import Settings

FORGET_S: Final = 120.0
"""A worker that has been silent for so long is forgotten; routing distrusts it much earlier."""


class ProviderStatesReader:
    """Follows `<prefix>.providers` on a thread of its own; any thread may ask for a `snapshot`.

    While the topic cannot be read, what is known grows old, and is distrusted by its age.
    """

    def __init__(self, settings: Settings) -> None:
        self._states: dict[str, ProviderState] = {}
        self._shown: Mapping[str, tuple[ProviderState, ...]] = {}
        self._changed = False
        self._follower: TopicFollower[None] = TopicFollower(
            consumer_config(settings),
            TopicNames(settings.kafka.prefix).providers,
            self._hear,
            each_turn=self._show,
        )

    def start(self) -> None:
        """Begin to follow; until the first states are read the snapshot is empty."""
        self._follower.start()

    def snapshot(self) -> Mapping[str, tuple[ProviderState, ...]]:
        """The newest state of each worker by provider; the same object while nothing changed."""
        return self._shown

    def close(self) -> None:
        """Stop following; may take some seconds."""
        self._follower.close()

    def _hear(self, message: Any) -> None:
        """On the follower's thread. All of it is done here: nothing is left to be taken there."""
        worker = (message.key() or b"").decode("utf-8", "replace")
        value = message.value()
        if value is not None:
            self._states[worker] = decode_state(value)
            self._changed = True
        elif self._states.pop(worker, None) is not None:
            self._changed = True

    def _show(self) -> None:
        """On the follower's thread, after each turn: states grow old without a record."""
        horizon = time.time() - FORGET_S
        gone = [worker for worker, state in self._states.items() if state.at < horizon]
        for worker in gone:
            del self._states[worker]
        if not self._changed and not gone:
            return
        self._changed = False
        by_provider: defaultdict[str, list[ProviderState]] = defaultdict(list)
        for state in self._states.values():
            by_provider[state.provider].append(state)
        # A provider whose workers are all gone is shown as having none.
        known = {**dict.fromkeys(self._shown, ()), **by_provider}
        self._shown = {provider: tuple(states) for provider, states in known.items()}


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
