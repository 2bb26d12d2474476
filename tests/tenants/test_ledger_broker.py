"""The ledger and its totals on a real broker: what a classifier knows when it starts."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from broker.classifier.tenant_keeping import TenantKeeping
from broker.classifier.tenant_rounds import COVERED_S, EVERY_S
from broker.log.clients import admin_config, producer_config
from broker.log.embedded import Running
from broker.log.tenant_totals import TotalsWriter
from broker.log.topic_names import TopicNames
from broker.records.tenants import EVERYONE, Entry, Totals, encode_entry
from broker.settings import Settings, load_settings
from broker.story.tenant_usage import read_usage

WITHIN_S = 30.0
PARTITIONS = 4


@pytest.fixture
def limited(kafka: Running, prefix: str) -> Settings:
    """Settings with limits, and both topics."""
    settings = load_settings(
        kafka={"bootstrap": kafka.bootstrap, "prefix": prefix},
        tenants={"acme": {"requests_per_day": 100, "requests_per_minute": 50}},
    )
    names = TopicNames(prefix)
    client = AdminClient(admin_config(settings))
    made = client.create_topics(
        [NewTopic(names.tenants, 1, 1), NewTopic(names.tenant_totals, 1, 1)]
    )
    for future in made.values():
        future.result(WITHIN_S)
    return settings


@pytest.fixture
def ledger(limited: Settings) -> "Writing":
    """Who writes lines."""
    return Writing(limited)


class Writing:
    """Writes lines as transactions do, one for each."""

    def __init__(self, settings: Settings) -> None:
        self._topic = TopicNames(settings.kafka.prefix).tenants
        config = producer_config(settings, **{"transactional.id": f"{self._topic}-t"})
        self.producer = Producer(config)
        self.producer.init_transactions(WITHIN_S)
        self._number = 0

    def begin(self, count: int, *, partition: int = 1) -> None:
        """So many charges in a transaction that stays open."""
        self.producer.begin_transaction()
        for _ in range(count):
            self._number += 1
            place = (partition, self._number)
            line = Entry("acme", "charge", partition, time.time(), 1.0, 10.0, 0.0, "p", place)
            self.producer.produce(self._topic, encode_entry(line), partition=0)
        self.producer.flush(WITHIN_S)

    def charge(self, count: int, *, partition: int = 1) -> None:
        """So many charges, committed."""
        self.begin(count, partition=partition)
        self.producer.commit_transaction(WITHIN_S)


def with_classifier(
    settings: Settings, act: Callable[[TenantKeeping, asyncio.Event], Awaitable[None]]
) -> None:
    """A classifier's part of it that has half of the partitions; the event: they may be read."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        keeping = TenantKeeping(settings, PARTITIONS, loop.call_soon_threadsafe)
        ready = asyncio.Event()
        try:
            keeping.start()
            keeping.assigned([0, 1])
            keeping.when_read(ready.set)
            await asyncio.wait_for(act(keeping, ready), WITHIN_S)
        finally:
            await loop.run_in_executor(None, keeping.close)

    asyncio.run(main())


def used(keeping: TenantKeeping) -> int:
    """Requests of today that the classifier knows of."""
    account = keeping.books._account("acme")  # noqa: SLF001 - what it knows
    return round(account.used("day", time.time())[1][0])


def test_partitions_wait_until_every_transaction_of_their_last_owner_is_decided(
    limited: Settings, ledger: Writing
) -> None:
    ledger.charge(3)
    ledger.begin(4)

    async def act(keeping: TenantKeeping, ready: asyncio.Event) -> None:
        for _ in range(20):
            await asyncio.sleep(0.05)
            keeping.beat(time.time())
            assert not ready.is_set()
        ledger.producer.commit_transaction(WITHIN_S)
        await ready.wait()
        assert used(keeping) == 7

    with_classifier(limited, act)


def test_a_start_takes_the_totals_and_reads_on_from_there(
    limited: Settings, ledger: Writing
) -> None:
    ledger.charge(5)

    async def first(keeping: TenantKeeping, ready: asyncio.Event) -> None:
        await ready.wait()
        now = time.time()
        for later in (EVERY_S + 1, COVERED_S + 2 * EVERY_S + 2):  # two rounds, minutes apart
            keeping.beat(now + later)
            assert keeping.rounds.writing is not None
            assert await keeping.rounds.writing
            await asyncio.sleep(0)

    with_classifier(limited, first)
    ledger.charge(2, partition=3)

    async def second(keeping: TenantKeeping, ready: asyncio.Event) -> None:
        await ready.wait()
        assert used(keeping) == 7
        account = keeping.books._account("acme")  # noqa: SLF001 - what it knows
        assert account.used_through(1, "day", time.time())[0] == 5

    with_classifier(limited, second)
    (use,) = [
        one
        for one in read_usage(limited).uses("acme")
        if (one.period, one.dimension) == ("day", "requests")
    ]
    assert (use.used, use.left) == (7, 93)


def test_totals_say_how_far_they_reach_only_when_all_of_them_are_written(
    limited: Settings, ledger: Writing
) -> None:
    ledger.charge(5)
    day = time.strftime("%Y-%m-%d", time.gmtime())
    totals = Totals("acme", 5, 0.0, {day: {1: (5.0, 50.0, 0.0)}}, {})
    writer = TotalsWriter(limited)
    assert writer.write([totals], Totals(EVERYONE, 5, 0.0))

    async def act(keeping: TenantKeeping, ready: asyncio.Event) -> None:
        await ready.wait()
        assert keeping.books.position > 5
        assert used(keeping) == 5

    with_classifier(limited, act)


def test_what_is_not_of_our_form_is_left_out_and_told(limited: Settings, ledger: Writing) -> None:
    stranger = Producer(producer_config(limited))
    stranger.produce(TopicNames(limited.kafka.prefix).tenants, b"{", partition=0)
    stranger.produce(TopicNames(limited.kafka.prefix).tenant_totals, b"[]", partition=0)
    assert stranger.flush(WITHIN_S) == 0
    ledger.charge(2)

    async def act(keeping: TenantKeeping, ready: asyncio.Event) -> None:
        await ready.wait()
        assert used(keeping) == 2

    with_classifier(limited, act)
    assert read_usage(limited).unreadable == 2
