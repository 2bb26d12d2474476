"""What is committed and what is not, on a real broker."""

from collections import Counter
from threading import Event
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, TopicPartition

from broker.core.pacing import Pacing
from broker.log.clients import consumer_config
from broker.log.transactional_producer import TransactionalProducer, TransactionError
from broker.settings import Settings
from tests.log.writing import Field, Writing, eventually, once, running


@pytest.fixture
def field(settings: Settings) -> Field:
    return Field(settings)


def test_outputs_and_offsets_of_many_partitions_are_committed_together(field: Field) -> None:
    writing = Writing(field)
    units = []
    for partition in range(3):
        writing.assign(partition)
        units += writing.units(partition, range(200))
    with running(writing) as writer:
        writer.submit(units)
        assert writer.flush(30)
        assert writer.pending == 0
    assert field.values() == once({0: 200, 1: 200, 2: 200})
    assert {p: base for p, (base, _) in field.positions().items()} == {0: 200, 1: 200, 2: 200}
    assert len(writing.committed) == 600
    assert not writing.failures


def test_out_of_order_units_are_remembered_beside_the_base(field: Field) -> None:
    writing = Writing(field)
    writing.assign(0)
    units = writing.units(0, range(10))
    with running(writing) as writer:
        writer.submit([units[2], units[5], units[0]])
        assert writer.flush(30)
    base, metadata = field.positions()[0]
    assert base == 1
    successor = Writing(field)
    restored = successor.book.assign((field.source, 0), 2, base, metadata)
    assert restored.done == {2, 5}


def test_a_rolled_back_transaction_shows_none_of_it_and_the_next_all(
    field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing = Writing(field)
    writing.assign(0)
    real = TransactionalProducer.send_offsets
    seen: list[Counter[bytes]] = []

    def refuse_once(self: TransactionalProducer, *given: Any) -> None:
        if not seen:
            self.flush()
            seen.append(field.values())
            raise TransactionError("send offsets", KafkaError(KafkaError.REQUEST_TIMED_OUT))
        real(self, *given)

    monkeypatch.setattr(TransactionalProducer, "send_offsets", refuse_once)
    with running(writing) as writer:
        writer.submit(writing.units(0, range(100)))
        assert writer.flush(30)
    assert seen == [Counter()], "while it was open nobody saw any of it"
    assert field.values() == once({0: 100})
    assert ("aborted", 0) in writing.transactions


def test_a_transaction_keeps_to_one_partition_of_a_set_and_the_next_takes_another(
    field: Field,
) -> None:
    writing = Writing(field)
    writing.assign(0)
    with running(writing) as writer:
        for group in range(4):
            writer.submit(writing.units(0, range(group * 50, group * 50 + 50)))
            assert writer.flush(30)
    places: list[set[int]] = [set() for _ in range(4)]
    for message in field.read():
        places[int(message.key()) // 50].add(message.partition())
    assert len([outcome for outcome, _ in writing.transactions if outcome == "committed"]) == 4
    assert all(len(one) == 1 for one in places)
    assert len(set.union(*places)) == 4


def test_units_of_an_earlier_epoch_are_dropped(field: Field) -> None:
    writing = Writing(field)
    writing.assign(0, epoch=1)
    old = writing.units(0, range(10))
    writing.assign(0, epoch=2)
    with running(writing) as writer:
        writer.submit(old)
        assert writer.flush(30)
        writer.submit(writing.units(0, range(3), epoch=2))
        assert writer.flush(30)
    assert field.values() == once({0: 3})
    assert field.positions()[0][0] == 3


def test_a_partition_taken_away_in_the_middle_of_a_transaction_doubles_nothing(
    field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing = Writing(field)
    writing.assign(0)
    writing.assign(1)
    real = TransactionalProducer.produce
    taken: list[bool] = []

    def take_away(self: TransactionalProducer, *given: Any) -> None:
        real(self, *given)
        if not taken:
            taken.append(True)
            writing.book.revoke((field.source, 0))

    monkeypatch.setattr(TransactionalProducer, "produce", take_away)
    with running(writing) as writer:
        writer.submit(writing.units(0, range(20)) + writing.units(1, range(20)))
        assert writer.flush(30)
        assert field.values() == once({1: 20})
        writing.assign(0, epoch=2)
        writer.submit(writing.units(0, range(20), epoch=2))
        assert writer.flush(30)
    assert field.values() == once({0: 20, 1: 20})


@pytest.mark.parametrize("carried_out", [True, False])
def test_a_commit_without_an_answer_is_found_out_and_neither_lost_nor_doubled(
    field: Field, monkeypatch: pytest.MonkeyPatch, *, carried_out: bool
) -> None:
    writing = Writing(field)
    writing.assign(0)
    real = TransactionalProducer.commit
    calls: list[bool] = []

    def without_answer(self: TransactionalProducer) -> None:
        calls.append(carried_out)
        if len(calls) == 2:
            if carried_out:
                real(self)
            raise TransactionError("commit", KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001 - its public name
        real(self)

    monkeypatch.setattr(TransactionalProducer, "commit", without_answer)
    with running(writing) as writer:
        for group in range(4):
            # Out of order, so that the answer is in the bitmap and not only in the base.
            writer.submit(writing.units(0, range(group * 10, group * 10 + 10))[1:])
            assert writer.flush(40)
        assert writing.recoveries == ["_TIMED_OUT"]
        writer.submit([writing.unit(0, offset, b"") for offset in (0, 10, 20, 30)])
        assert writer.flush(30)
    expected = once({0: 40})
    for offset in (0, 10, 20, 30):
        expected[f"0-{offset}".encode()] = 0
    expected[b""] = 4
    assert field.values() == expected
    assert field.positions()[0][0] == 40
    assert len(calls) == (5 if carried_out else 6)
    assert len(writing.committed) == 40


@pytest.mark.parametrize("step", ["send offsets", "commit", "commit, carried out"])
def test_a_step_that_never_returns_is_given_up_and_neither_lost_nor_doubled(
    field: Field, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    name = step.split(",", maxsplit=1)[0]
    method = name.replace(" ", "_")
    real = getattr(TransactionalProducer, method)
    released, hung = Event(), Event()

    def hangs_once(self: TransactionalProducer, *given: Any) -> None:
        if hung.is_set():
            real(self, *given)
            return
        hung.set()
        if step != name:
            real(self, *given)
        self._step(name, lambda _producer: released.wait(), 0.1)

    monkeypatch.setattr(TransactionalProducer, method, hangs_once)
    writing = Writing(field)
    writing.assign(0)
    with running(writing) as writer:
        writer.submit(writing.units(0, range(50)))
        assert writer.flush(40)
        released.set()  # the call that was left behind goes on, and must not do any harm
        writer.submit(writing.units(0, range(50, 60)))
        assert writer.flush(30)
    assert field.values() == once({0: 60})
    assert field.positions()[0][0] == 60
    assert len(writing.committed) == 60
    assert writing.recoveries == ["_TIMED_OUT"]


def test_nothing_is_committed_before_the_group_is_joined(field: Field) -> None:
    writing = Writing(field)
    metadata, writing.fence.metadata = writing.fence.metadata, None
    writing.assign(0)
    with running(writing) as writer:
        writer.submit(writing.units(0, range(5)))
        assert not writer.flush(1.0)
        assert field.values() == Counter()
        assert field.positions()[0][0] == -1001
        writing.fence.metadata = metadata
        assert writer.flush(30)
    assert field.values() == once({0: 5})


def test_a_member_of_an_older_generation_is_refused_until_it_is_of_the_new_one(
    field: Field, settings: Settings
) -> None:
    config = {"group.id": field.group, "session.timeout.ms": 10_000}
    consumer = Consumer(consumer_config(settings, **config))
    consumer.subscribe([field.source])

    def joined() -> bool:
        consumer.poll(0.05)
        return bool(consumer.assignment())

    writing = Writing(field)
    writing.assign(0)
    try:
        assert eventually(joined)
        old = consumer.consumer_group_metadata()
        consumer.unsubscribe()
        assert eventually(lambda: consumer.poll(0.05) is None and not consumer.assignment())
        consumer.subscribe([field.source])
        assert eventually(joined)
        writing.fence.metadata = old
        with running(writing) as writer:
            writer.submit(writing.units(0, range(5)))
            assert eventually(lambda: ("rejoin", 0) in writing.transactions)
            assert field.values() == Counter()
            writing.fence.metadata = consumer.consumer_group_metadata()
            assert writer.flush(30)
        assert field.values() == once({0: 5})
        (place,) = consumer.committed([TopicPartition(field.source, 0)], 20)
        assert place.offset == 5
    finally:
        consumer.close()


def test_when_idle_it_commits_at_once_and_a_flush_does_not_wait_for_the_spacing(
    field: Field,
) -> None:
    hour = Pacing(near_s=3600.0, far_s=3600.0, idle_rate=0.001, busy_rate=0.01, full=10_000)
    writing = Writing(field, pacing=hour)
    writing.assign(0)
    with running(writing) as writer:
        writer.submit(writing.units(0, [0]))
        assert eventually(lambda: len(writing.committed) == 1), "the first is due at once"
        writer.submit(writing.units(0, range(1, 20)))
        assert not eventually(lambda: len(writing.committed) > 1, 0.3), "now it keeps its distance"
        assert writer.flush(30)
    assert field.values() == once({0: 20})
