"""Windows filled from the real log: all that was seen, up to the position and no further."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from broker.classifier import rebuild as rebuild_module
from broker.classifier.identity import identifier
from broker.classifier.rebuild import Callbacks, Job, Rebuild
from broker.classifier.windows import Remembered
from broker.core.dedupe import DedupeWindow, Kind
from broker.log.clients import admin_config, consumer_config, producer_config
from broker.log.transactional_producer import SETTINGS
from broker.records.prompt import Catalog
from broker.settings import Settings, load_settings

if TYPE_CHECKING:
    from broker.records.errors import WeighbridgeError

PARTITIONS = 3
CATALOG = Catalog({"chat-small": "chat"}, {"chat": "chat-small"}, {"chat-small": ("azure",)})
WITHIN_S = 60.0


class Filling:
    """A topic of prompts, and windows that are filled from it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.topic = f"{settings.kafka.prefix}.prompts"
        admin = AdminClient(admin_config(settings))
        admin.create_topics([NewTopic(self.topic, PARTITIONS, 1)])[self.topic].result(30)
        self.ready: dict[int, float] = {}
        self.failures: list[WeighbridgeError] = []
        self._all_ready = threading.Event()

    def write(self, partition: int, identities: Sequence[str], **given: Any) -> None:
        producer = Producer(producer_config(self.settings))
        write_all(producer, self.topic, partition, identities, **given)
        assert producer.flush(30) == 0

    def windows(self, window_s: float = 3600.0, max_ids: int = 1_000_000) -> dict[int, Remembered]:
        return {p: Remembered(DedupeWindow(window_s, max_ids)) for p in range(PARTITIONS)}

    def rebuild(
        self, windows: Mapping[int, Remembered], bases: Mapping[int, int], window_s: float = 3600.0
    ) -> Rebuild:
        self.ready.clear()
        self._all_ready.clear()

        def ready(partition: int, seconds: float) -> None:
            self.ready[partition] = seconds
            if len(self.ready) == len(bases):
                self._all_ready.set()

        return Rebuild(
            consumer_config(self.settings),
            self.topic,
            {p: Job(windows[p], base, 0) for p, base in bases.items()},
            window_s=window_s,
            identify=identifier(CATALOG),
            callbacks=Callbacks(ready, self.failures.append),
        )

    def fill(
        self, windows: Mapping[int, Remembered], bases: Mapping[int, int], window_s: float = 3600.0
    ) -> None:
        rebuild = self.rebuild(windows, bases, window_s)
        rebuild.start()
        assert self._all_ready.wait(WITHIN_S), self.failures
        rebuild.join(WITHIN_S)
        assert not self.failures


def write_all(
    producer: Any, topic: str, partition: int, identities: Sequence[str], at_ms: int = 0
) -> None:
    for identity in identities:
        value = orjson.dumps({"id": identity, "prompt": "Why is the sky blue?"})
        while True:
            try:
                producer.produce(topic, value, partition=partition, timestamp=at_ms)
            except BufferError:
                producer.poll(0.1)
            else:
                break


def kinds(one: Remembered, identities: Sequence[str], offset: int) -> set[Kind]:
    now = time.time()
    return {one.window.check(identity, offset, now).kind for identity in identities}


def names(first: int, last: int) -> list[str]:
    return [f"p-{number}" for number in range(first, last)]


@pytest.fixture
def filling(settings: Settings) -> Filling:
    return Filling(settings)


def test_a_window_knows_all_below_the_position_and_nothing_past_it(filling: Filling) -> None:
    filling.write(0, names(0, 500))
    windows = filling.windows()
    filling.fill(windows, {0: 300, 1: 0, 2: 0})
    one = windows[0]
    assert one.covers == 300
    assert len(one.window) == 300
    assert kinds(one, names(0, 300), 10_000) == {Kind.DUPLICATE}
    assert kinds(one, names(300, 500), 10_000) == {Kind.NEW}


def test_a_record_that_is_read_again_after_a_crash_is_not_its_own_duplicate(
    filling: Filling,
) -> None:
    filling.write(0, ["a", "b", "a", "c"])
    windows = filling.windows()
    filling.fill(windows, {0: 4})
    window = windows[0].window
    now = time.time()
    verdicts = [window.check(i, offset, now).kind for offset, i in enumerate(["a", "b", "a", "c"])]
    assert verdicts == [Kind.SAME, Kind.SAME, Kind.DUPLICATE, Kind.SAME]


def test_only_the_time_of_the_window_is_read(filling: Filling) -> None:
    now_ms = int(time.time() * 1000)
    filling.write(0, names(0, 200), at_ms=now_ms - 7_200_000)
    filling.write(0, names(200, 250), at_ms=now_ms - 60_000)
    windows = filling.windows(600.0)
    filling.fill(windows, {0: 250}, 600.0)
    assert len(windows[0].window) == 50
    assert kinds(windows[0], names(0, 200), 10_000) == {Kind.NEW}


def test_after_a_long_rest_the_window_is_that_before_the_next_record_and_not_before_now(
    filling: Filling,
) -> None:
    long_ago = int(time.time() * 1000) - 86_400_000
    filling.write(0, ["first"], at_ms=long_ago)
    filling.write(0, ["first"], at_ms=long_ago + 1_000)
    windows = filling.windows(600.0)
    filling.fill(windows, {0: 1}, 600.0)
    again = windows[0].window.check("first", 1, long_ago / 1000 + 1)
    assert again.kind is Kind.DUPLICATE


def test_gaps_of_transactions_and_rolled_back_records_do_not_hold_it_up(filling: Filling) -> None:
    config = {**SETTINGS, "transactional.id": f"{filling.topic}.forwarder"}
    producer = Producer(producer_config(filling.settings, **config))
    producer.init_transactions(30)
    for turn in range(4):
        producer.begin_transaction()
        write_all(producer, filling.topic, 0, names(turn * 10, turn * 10 + 10))
        if turn % 2:
            producer.abort_transaction(30)
        else:
            producer.commit_transaction(30)
    windows = filling.windows()
    # Ten records and a marker each: the last marker is the end of the log.
    filling.fill(windows, {0: 44})
    assert kinds(windows[0], names(0, 10) + names(20, 30), 10_000) == {Kind.DUPLICATE}
    assert kinds(windows[0], names(10, 20) + names(30, 40), 10_000) == {Kind.NEW}


def test_a_window_that_knows_more_than_the_position_is_ready_at_once(filling: Filling) -> None:
    windows = filling.windows()
    windows[0].covers = 50
    rebuild = filling.rebuild(windows, {0: 40})
    rebuild.start()
    assert set(filling.ready) == {0}


def test_a_window_for_fewer_ids_than_there_are_keeps_the_newest_and_counts_the_others(
    filling: Filling,
) -> None:
    filling.write(0, names(0, 1_000))
    windows = filling.windows(max_ids=100)
    filling.fill(windows, {0: 1_000})
    window = windows[0].window
    assert len(window) == 100
    assert window.evicted_early == 900
    assert kinds(windows[0], names(900, 1_000), 10_000) == {Kind.DUPLICATE}


def test_a_broker_that_is_not_there_is_a_typed_failure_and_no_window(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuild_module, "REQUEST_S", 1.0)
    filling = Filling(settings)
    kafka = {"bootstrap": "127.0.0.1:9", "prefix": settings.kafka.prefix}
    filling.settings = load_settings(
        kafka={**kafka, "client": {"socket.connection.setup.timeout.ms": "1000"}}
    )
    rebuild = filling.rebuild(filling.windows(), {0: 10})
    rebuild.start()
    rebuild.join(WITHIN_S)
    assert [failure.code for failure in filling.failures] == ["dedupe_rebuild_failed"]
    assert not filling.ready


def measured(filling: Filling, count: int) -> float:
    """Ids a second into windows, over all partitions."""
    share = count // PARTITIONS
    for partition in range(PARTITIONS):
        filling.write(partition, names(partition * share, (partition + 1) * share))
    began = time.monotonic()
    windows = filling.windows()
    filling.fill(windows, dict.fromkeys(range(PARTITIONS), share))
    seconds = time.monotonic() - began
    assert sum(len(one.window) for one in windows.values()) == share * PARTITIONS
    return share * PARTITIONS / seconds


def test_200_000_ids_are_remembered_soon(
    filling: Filling, record_property: Callable[[str, object], None]
) -> None:
    rate = measured(filling, 200_000)
    record_property("ids_per_second", round(rate))
    print(f"\n{rate:,.0f} ids a second")  # noqa: T201 - the figure is the point
    assert rate > 20_000, "100,000 a second is the target on two cores that do nothing else"


@pytest.mark.soak
def test_a_million_ids_are_remembered_in_ten_seconds(filling: Filling) -> None:
    assert measured(filling, 1_000_000) > 100_000
