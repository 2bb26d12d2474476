import math
import random
from typing import Any

import pytest
from aiokafka.partitioner import murmur2 as murmur2_of_aiokafka
from hypothesis import given
from hypothesis import strategies as st

from broker.core.dedupe import NEW, SAME, DedupeWindow, Kind, home_partition, murmur2

ids = st.integers(0, 12).map("id-{}".format)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # From the tests of Kafka's own Java client, UtilsTest.testMurmur2.
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_is_that_of_javas_clients(text: bytes, expected: int) -> None:
    assert murmur2(text) == expected & 0xFFFF_FFFF


@given(st.binary(max_size=200))
def test_murmur2_agrees_with_aiokafka(data: bytes) -> None:
    assert murmur2(data) == murmur2_of_aiokafka(data) & 0xFFFF_FFFF


@given(st.text(max_size=130), st.integers(1, 100))
def test_every_id_has_a_home(identity: str, partitions: int) -> None:
    assert 0 <= home_partition(identity, partitions) < partitions
    assert home_partition("foobar", 12) == (-790332482 & 0x7FFF_FFFF) % 12


def test_a_record_read_again_is_no_duplicate_of_itself() -> None:
    window = DedupeWindow(10, 100)
    assert window.check("a", 5, 0.0) is NEW
    assert window.check("a", 5, 0.0) is SAME
    verdict = window.check("a", 6, 9.0)
    assert (verdict.kind, verdict.of) == (Kind.DUPLICATE, 5)
    assert window.check("a", 5, 0.0) is SAME


def test_the_window_is_exact_to_the_moment() -> None:
    window = DedupeWindow(10, 100)
    window.check("a", 0, 100.0)
    window.check("b", 1, 100.0)
    assert window.check("a", 2, 110.0).kind is Kind.DUPLICATE
    assert window.check("b", 3, 110.001) is NEW
    # A duplicate starts the window anew.
    assert window.check("a", 4, 120.0).kind is Kind.DUPLICATE
    assert window.check("a", 5, 130.5) is NEW
    assert window.check("a", 6, 131.0).of == 5


def test_a_producer_with_a_wrong_clock_cannot_empty_the_window() -> None:
    window = DedupeWindow(10, 100)
    window.check("a", 0, 100.0, now=100.0)
    window.check("from the year 2100", 1, 4.1e9, now=101.0)
    assert window.check("a", 2, 102.0, now=102.0).kind is Kind.DUPLICATE
    window.check("from 1970", 3, 0.0, now=103.0)
    assert window.check("from 1970", 4, 0.0, now=104.0).kind is Kind.DUPLICATE


def test_the_oldest_is_forgotten_first_and_what_was_forgotten_early_is_counted() -> None:
    window = DedupeWindow(10, 3)
    for offset, identity in enumerate("abcd"):
        window.check(identity, offset, offset)
    assert len(window) == 3
    assert window.evicted_early == 1
    assert window.check("b", 9, 4).kind is Kind.DUPLICATE
    assert window.check("a", 10, 4) is NEW
    assert window.evicted_early == 2


def test_what_left_the_window_is_not_counted_as_forgotten_early() -> None:
    window = DedupeWindow(10, 3)
    for offset in range(100):
        window.check(f"id-{offset}", offset, offset * 5.0)
    assert window.evicted_early == 0
    assert len(window) == 3


def test_set_back_before_the_remembered_record_the_first_in_the_log_is_answered() -> None:
    """Whoever rebuilds the window from the log takes the first record for the one that counts."""
    window = DedupeWindow(10, 1)
    window.check("a", 5, 0)
    window.check("b", 6, 0)  # "a" is forgotten early
    assert window.check("a", 9, 0) is NEW
    assert window.check("a", 5, 0) is NEW
    assert window.check("a", 9, 0).of == 5


@pytest.mark.parametrize(("window_s", "max_ids"), [(0, 5), (-1, 5), (5, 0), (5, 2**32)])
def test_a_window_that_can_hold_nothing_is_refused(window_s: float, max_ids: int) -> None:
    with pytest.raises(ValueError, match="can hold nothing"):
        DedupeWindow(window_s, max_ids)


class Plain:
    """The same promise, written down in the plainest way."""

    def __init__(self, window_s: float) -> None:
        self.window_s = window_s
        self.seen: dict[str, tuple[int, float]] = {}
        self.latest = -math.inf

    def check(self, identity: str, offset: int, at: float) -> tuple[Kind, int | None]:
        when = self.latest = max(self.latest, at)
        of, last = self.seen.get(identity, (offset, -math.inf))
        if when - last > self.window_s:
            of = offset
        self.seen[identity] = (of, when)
        return (Kind.NEW, None) if of == offset else (Kind.DUPLICATE, of)


@given(
    st.lists(st.tuples(ids, st.sampled_from([0.0, 0.0, 0.5, 3.0, 11.0, -40.0])), max_size=300),
    st.sampled_from([1.0, 5.0, 10.0]),
)
def test_verdicts_are_those_of_the_plain_rule(
    records: list[tuple[str, float]], window_s: float
) -> None:
    window, plain, now = DedupeWindow(window_s, 10_000), Plain(window_s), 1000.0
    for offset, (identity, step) in enumerate(records):
        now += step
        verdict = window.check(identity, offset, now)
        assert (verdict.kind, verdict.of) == plain.check(identity, offset, now)
    assert window.evicted_early == 0
    assert len(window) <= 13


@given(st.lists(st.tuples(ids, st.sampled_from([0.0, 0.7, 4.0])), max_size=120), st.data())
def test_a_window_rebuilt_from_the_log_judges_as_the_old_one(
    steps: list[tuple[str, float]], data: st.DataObject
) -> None:
    now, records = 0.0, []
    for identity, step in steps:
        now += step
        records.append((identity, now))
    base = data.draw(st.integers(0, len(records)))
    old, new = DedupeWindow(10, 1000), DedupeWindow(10, 1000)
    for offset in range(base):
        old.check(*_at(records, offset))
    horizon = records[base - 1][1] - 10 if base else 0
    for offset in range(base):
        if records[offset][1] >= horizon:
            new.check(*_at(records, offset))
    for offset in range(base, len(records)):
        ours, theirs = (window.check(*_at(records, offset)) for window in (new, old))
        assert (ours.kind is Kind.DUPLICATE) == (theirs.kind is Kind.DUPLICATE)


def _at(records: list[tuple[str, float]], offset: int) -> tuple[Any, int, float]:
    identity, at = records[offset]
    return identity, offset, at


def test_many_ids_come_and_go_within_bounds() -> None:
    """Growing, forgetting and reusing places in the index, over several chunks of memory."""
    drawn = random.Random(4)
    window, plain = DedupeWindow(100, 1_000_000), Plain(100)
    now = 0.0
    for offset in range(60_000):
        now += drawn.choice([0.0, 0.005, 0.01])
        identity = f"prompt-{drawn.randrange(40_000)}"
        verdict = window.check(identity, offset, now)
        assert (verdict.kind, verdict.of) == plain.check(identity, offset, now)
    assert len(window) < 40_000
