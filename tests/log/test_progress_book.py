"""What the book says of units while partitions come and go."""

import random

from broker.core.bitmap import CAPACITY
from broker.core.offsets import PartitionProgress
from broker.log.progress_book import ProgressBook, not_committed
from broker.log.units import Unit

TP = ("work", 3)


def unit(offset: int, epoch: int = 1) -> Unit:
    return Unit(*TP, offset, epoch, ())


def book(delivered: int = 0, base: int = 0) -> ProgressBook:
    found = ProgressBook()
    found.assign(TP, 1, base, "")
    for offset in range(base, delivered):
        assert found.delivered(TP, offset)
    return found


def test_a_preview_is_forgotten_unless_it_is_confirmed() -> None:
    given = book(5)
    first = given.preview([unit(0), unit(1)])
    assert [(place.offset, place.metadata) for place in first.offsets] == [(2, "")]
    assert given.preview([unit(0)]).offsets[0].offset == 1
    given.confirm(first.units)
    assert given.preview([unit(2)]).offsets[0].offset == 3
    assert not given.live([unit(0), unit(1)])


def test_units_of_another_epoch_or_of_a_partition_that_is_gone_are_not_live() -> None:
    given = book(5)
    assert given.live([unit(1), unit(2, epoch=0)]) == [unit(1)]
    given.revoke(TP)
    assert given.epoch(TP) is None
    assert not given.live([unit(1)])
    assert not given.delivered(TP, 5)
    assert not given.preview([unit(1)]).units
    given.assign(TP, 2, 0, "")
    assert not given.live([unit(1)])
    given.confirm([unit(1)])
    assert given.delivered(TP, 0)


def test_done_offsets_are_restored_and_not_worked_on_again() -> None:
    given = book(10)
    done = given.preview([unit(3), unit(7)])
    (place,) = done.offsets
    successor = ProgressBook()
    assert successor.assign(TP, 9, place.offset, place.metadata).done == {3, 7}
    assert [o for o in range(10) if not successor.delivered(TP, o)] == [3, 7]


def test_unreadable_metadata_mean_that_nothing_past_the_base_is_done() -> None:
    given = ProgressBook()
    restored = given.assign(TP, 1, 4, "someone else's text")
    assert restored.problem
    assert not restored.done
    assert given.delivered(TP, 4)


def test_what_does_not_fit_into_the_metadata_is_held_back_from_above() -> None:
    count = 3 * CAPACITY
    given = book(count)
    chance = random.Random(3)
    some = [unit(offset) for offset in range(1, count) if chance.random() < 0.5]
    preview = given.preview(some)
    assert preview.held
    assert preview.units
    assert max(u.offset for u in preview.units) < min(u.offset for u in preview.held)
    assert sorted(u.offset for u in (*preview.units, *preview.held)) == [u.offset for u in some]
    whole = given.preview([unit(offset) for offset in range(count)])
    assert not whole.held
    assert whole.offsets[0].offset == count


def test_after_an_unknown_outcome_units_are_parted_by_base_and_bitmap() -> None:
    progress = PartitionProgress(0)
    for offset in range(10):
        progress.delivered(offset)
    progress.confirm([0, 1, 4, 6])
    units = [unit(offset) for offset in range(8)]
    open_ones, done = not_committed(units, {TP: progress.commit()})
    assert [u.offset for u in done] == [0, 1, 4, 6]
    assert [u.offset for u in open_ones] == [2, 3, 5, 7]


def test_without_a_committed_offset_nothing_is_done() -> None:
    units = [unit(0), unit(5)]
    assert not_committed(units, {TP: (-1001, "")}) == (units, [])
    assert not_committed(units, {}) == (units, [])
    assert not_committed(units, {TP: (3, "garbage")}) == ([unit(5)], [unit(0)])
