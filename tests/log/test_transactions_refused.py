"""Records that the broker refuses, windows that are full, ids that are taken, and ends."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
from confluent_kafka import Producer

from broker.core.bitmap import CAPACITY
from broker.log.clients import producer_config
from broker.log.transactional_producer import SETTINGS, TransactionalProducer
from broker.log.units import Output, Unit
from broker.records.errors import NotReadyError, WeighbridgeError
from broker.settings import Settings
from tests.log.writing import (
    OUT_PARTITIONS,
    SMALL_BYTES,
    Field,
    Writing,
    eventually,
    named,
    once,
    running,
)

TOO_LARGE = random.Random(1).randbytes(2 * SMALL_BYTES)


@pytest.fixture
def field(settings: Settings) -> Field:
    return Field(settings)


def shorter(unit: Unit) -> Unit:
    (output,) = unit.outputs
    return replace(unit, outputs=(replace(output, value=b"too large"),))


def among_many(writing: Writing, large: set[int], count: int = 120) -> list[Unit]:
    return [
        writing.unit(
            0,
            offset,
            TOO_LARGE if offset in large else named(0, offset),
            topic=writing.field.small,
        )
        for offset in range(count)
    ]


@pytest.mark.parametrize("large", [{0}, {119}, {3, 4, 77}])
def test_records_too_large_for_their_topic_are_found_and_replaced_and_the_others_go(
    field: Field, large: set[int]
) -> None:
    writing = Writing(field, replace=shorter)
    writing.assign(0)
    with running(writing) as writer:
        writer.submit(among_many(writing, large))
        assert writer.flush(60)
    expected = once({0: 120})
    for offset in large:
        del expected[named(0, offset)]
    expected[b"too large"] = len(large)
    assert field.values(field.small) == expected
    assert field.positions()[0][0] == 120
    assert writing.recoveries.count("record_too_large") == len(large)
    assert not writing.failures


def test_a_refusal_that_comes_while_records_are_still_added_is_found_out_too(
    field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then librdkafka says only that its state is wrong, of the record after the refused one."""
    real = TransactionalProducer.produce

    def slowly(
        self: TransactionalProducer,
        output: Output,
        partition: int,
        on_error: Callable[..., None] | None = None,
    ) -> None:
        real(self, output, partition, on_error)
        if output.value == TOO_LARGE:
            self.flush()

    monkeypatch.setattr(TransactionalProducer, "produce", slowly)
    writing = Writing(field, replace=shorter)
    writing.assign(0)
    with running(writing) as writer:
        writer.submit(among_many(writing, {10}, count=40))
        assert writer.flush(60)
    assert field.values(field.small)[b"too large"] == 1
    assert field.positions()[0][0] == 40


def test_without_a_replacement_a_record_too_large_is_a_typed_failure(field: Field) -> None:
    writing = Writing(field)
    writing.assign(0)
    with running(writing) as writer:
        writer.submit(among_many(writing, {5}, count=10))
        assert writing.failed.wait(40)
        assert not writer.flush(30), "nobody waits for a writer that has ended"
    (failure,) = writing.failures
    assert isinstance(failure, WeighbridgeError)
    assert failure.code == "record_too_large"
    assert field.small in failure.message
    assert TOO_LARGE not in field.values(field.small)


def test_a_replacement_that_is_too_large_again_ends_the_writer_and_does_not_spin(
    field: Field,
) -> None:
    writing = Writing(field, replace=lambda unit: unit)
    writing.assign(0)
    with running(writing) as writer:
        writer.submit(among_many(writing, {0}, count=1))
        assert writing.failed.wait(40)
    assert [getattr(error, "code", None) for error in writing.failures] == ["record_too_large"]


def test_units_past_the_window_wait_for_the_base_even_when_it_stands_behind_them_all(
    field: Field,
) -> None:
    """Their offsets make no text short enough for the commit metadata until the base moves."""
    count = 3 * CAPACITY
    chance = random.Random(7)
    late = {0, *chance.sample(range(count), count // 2)}
    writing = Writing(field)
    writing.assign(0)
    units = [writing.unit(0, offset) for offset in range(count)]
    early = [unit for unit in units if unit.offset not in late]
    with running(writing) as writer:
        writer.submit(early)
        assert not writer.flush(3.0)
        assert 0 < writer.pending < len(early)
        assert field.positions()[0][0] == 0
        writer.submit([unit for unit in units if unit.offset in late])
        assert writer.flush(60)
    assert field.positions()[0] == (count, "")
    assert len(writing.committed) == count


def test_two_writers_of_one_slot_end_with_a_sentence_and_double_nothing(field: Field) -> None:
    first, second = Writing(field, "same"), Writing(field, "same")
    first.assign(0)
    second.assign(1)
    sent = {0: 0, 1: 0}

    def one_has_failed() -> bool:
        for partition, writing in enumerate((first, second)):
            writing.writer.submit(writing.units(partition, [sent[partition]]))
            sent[partition] += 1
            writing.writer.flush(5.0)
        return first.failed.is_set() or second.failed.is_set()

    with running(first), running(second):
        assert eventually(one_has_failed, 90)
    for failure in (*first.failures, *second.failures):
        assert isinstance(failure, NotReadyError)
        assert failure.code == "fenced"
        assert "--slot" in failure.mend
    found = field.values()
    done = Counter(
        named(unit.partition, unit.offset) for one in (first, second) for unit in one.committed
    )
    assert set(found.values()) <= {1}
    assert done <= found


def test_what_an_earlier_process_of_the_slot_left_open_is_ended_at_the_start(
    field: Field,
) -> None:
    config = {**SETTINGS, "transactional.id": f"{field.group}-writer-0"}
    killed = Producer(producer_config(field.settings, **config))
    killed.init_transactions(30)
    killed.begin_transaction()
    killed.produce(field.out, b"of a process that was killed", partition=0)
    assert killed.flush(30) == 0
    assert field.open_records() > 0
    writing = Writing(field)
    writing.assign(0)
    with running(writing) as writer:
        writer.submit(writing.units(0, range(3)))
        assert writer.flush(30)
        assert eventually(lambda: field.open_records() == 0, 5.0), "well before its time-out"
    assert field.values() == once({0: 3})


def test_a_close_in_the_middle_of_the_work_leaves_nothing_open(field: Field) -> None:
    writing = Writing(field)
    for partition in range(3):
        writing.assign(partition)
    with running(writing) as writer:
        for start in range(0, 6_000, 100):
            for partition in range(3):
                writer.submit(writing.units(partition, range(start, start + 100)))
        assert eventually(lambda: len(writing.committed) > 0)
    assert eventually(lambda: field.open_records() == 0, 5.0), "well before the time-out"
    for partition, (base, _) in field.positions().items():
        done = [unit for unit in writing.committed if unit.partition == partition]
        assert base == (len(done) or -1001)
    assert sum(field.values().values()) == len(writing.committed)


def test_a_flush_of_some_partitions_does_not_wait_for_the_others(field: Field) -> None:
    writing = Writing(field)
    writing.assign(0)
    writing.assign(1)
    writing.fence.metadata = None
    units = writing.units(0, range(5)) + writing.units(1, range(5))
    with running(writing) as writer:
        writer.submit(units)
        assert not writer.flush(0.2, {(field.source, 1)})
        writing.book.revoke((field.source, 1))
        assert writer.flush(5.0, {(field.source, 1)}), "what is not ours any more is settled"
        assert not writer.flush(0.2, {(field.source, 0)})
    assert len({message.partition() for message in field.read()}) <= OUT_PARTITIONS
    assert field.values() == Counter()
