# ruff: noqa: SLF001 - Faust's services cannot be made without a broker, so parts of them are used
"""A fetch that a whole rebalance fits into: what it brings is thrown away, and must come again.

Found by the soak matrix: a prompt that arrived within half a second after a rebalance was lost,
for the fetch of before the rebalance took it, after the seek.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition

from broker.classifier.consumer_thread import ConsumerThread
from broker.classifier.transport import Consumer

TOPIC = "t.prompts"
PLACE = TopicPartition(TOPIC, 0)


@dataclass
class Record:
    """What of a fetched record is looked at here."""

    offset: int


class Thread:
    """Stands for the consumer's thread: a fetch during which something happens."""

    def __init__(self, during: Callable[[], None]) -> None:
        self._during = during
        self.given_back: dict[int, int] = {}

    async def getmany(self, _ready: Any, _timeout: float) -> Mapping[Any, list[Record]]:
        self._during()
        return {PLACE: [Record(58), Record(59)]}

    async def give_back(self, firsts: Mapping[int, int]) -> None:
        self.given_back.update(firsts)


def consumer_with(thread: Thread) -> Any:
    """Our consumer in the middle of its work, without Faust's services around it."""
    made: Any = Consumer.__new__(Consumer)
    made.epoch, made.flow_active, made._thread = 1, True, thread
    made._ready_partitions = made._get_active_partitions = lambda: {PLACE}
    return made


def test_what_was_fetched_across_a_rebalance_is_given_back() -> None:
    thread = Thread(lambda: setattr(consumer, "epoch", 3))
    consumer = consumer_with(thread)
    asyncio.run(consumer._drain_once())
    assert thread.given_back == {0: 58}


def test_what_was_fetched_into_the_beginning_of_a_rebalance_is_given_back() -> None:
    thread = Thread(lambda: setattr(consumer, "flow_active", False))
    consumer = consumer_with(thread)
    asyncio.run(consumer._drain_once())
    assert thread.given_back == {0: 58}


@pytest.mark.parametrize(
    ("position", "sought"), [(60, [58]), (59, [58]), (58, []), (40, []), (None, [])]
)
def test_a_position_only_ever_moves_back(position: int | None, sought: list[int]) -> None:
    seeks: list[int] = []
    thread: Any = ConsumerThread.__new__(ConsumerThread)
    thread.app = SimpleNamespace(connection=SimpleNamespace(topic=TOPIC))
    thread._ensure_consumer = lambda: SimpleNamespace(seek=lambda _tp, at: seeks.append(at))
    thread.progress = lambda _partition: position
    asyncio.run(thread._give_back({0: 58}))
    assert seeks == sought
