"""How words about ends are judged by the time in which they stood."""

from dataclasses import replace

import pytest

from broker.bench.standing_words import share_within, standing, table, usual_width
from broker.records.completion import Completion
from broker.records.progress import ProgressRecord
from broker.records.work import RouteStep
from tests.story.seeding import completion_of

T = 1_764_000_000.0
WORD = ProgressRecord(
    id="a",
    tenant="t",
    provider="p",
    worker="w",
    lane="light",
    state="waiting",
    place=0,
    starts_at=(T, T),
    ends_at=(T, T),
    at=T,
)


def said(at: float, low: float, high: float, identity: str = "a") -> ProgressRecord:
    return replace(WORD, id=identity, at=T + at, ends_at=(T + low, T + high))


def ended(*ids: str, moves: int = 0) -> dict[str, Completion]:
    step = RouteStep("p", "preferred", T)
    return {
        one: replace(completion_of(one, T, 10_000.0), route=(step,) * (1 + moves)) for one in ids
    }


def test_a_word_counts_for_as_long_as_it_stood() -> None:
    # Wrong for 9 s, right for the last one, in whatever order they are read.
    words = standing([said(9, 9.5, 12), said(0, 1, 2)], ended("a"))
    assert [one.seconds for one in words] == pytest.approx([9.0, 1.0])
    assert share_within(words) == pytest.approx(0.1)


def test_what_was_said_after_the_end_or_of_others_stood_for_nothing() -> None:
    words = standing([said(11, 0, 1), said(0, 9, 11), said(0, 1, 2, "other")], ended("a"))
    assert share_within(words) == 1.0
    assert len(words) == 2


def test_a_width_is_measured_by_the_time_that_was_left() -> None:
    words = standing([said(0, 5, 15), said(5, 9, 11)], ended("a"))
    assert [one.wide for one in words] == pytest.approx([1.0, 0.4])
    assert usual_width(words) == pytest.approx(0.4)
    assert usual_width([]) == share_within([]) == 0.0


def test_the_table_has_a_line_for_what_there_is_and_the_sums() -> None:
    words = standing([said(0, 5, 15), said(0, 5, 6, "b")], ended("a") | ended("b", moves=1))
    lines = table(words)
    assert [line[:24].strip() for line in lines] == [
        "",
        "light stayed waiting",
        "light moved waiting",
        "all that stayed",
        "all that moved",
        "all",
    ]
    assert lines[-1].split()[1:] == ["2", "20", "0.50", "0.1x"]
