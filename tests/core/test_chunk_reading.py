"""The reader's rule over any history of calls: only the last call's pieces make the text."""

from dataclasses import dataclass, replace

from hypothesis import given
from hypothesis import strategies as st

from broker.core.chunk_reading import ChunkReader, Step
from broker.records.chunk import CallName, Chunk

FIRST, SECOND = CallName(1, 1_000.0), CallName(2, 1_001.0)


def record(seq: int, event: str, call: CallName = FIRST, text: str | None = None) -> Chunk:
    """A record of the choice 0."""
    delta = None if text is None else {"content": text}
    index = None if text is None else 0
    return Chunk("a", "t", "azure", "m", call, seq, event, 1_002.0, index, delta)  # type: ignore[arg-type]  # a word of the contract


def run(call: CallName, texts: list[str], end: str | None) -> list[Chunk]:
    """Everything one call writes; `end` None is one that was killed."""
    made = [record(0, "started", call)]
    made += [record(number, "piece", call, text) for number, text in enumerate(texts, 1)]
    return made + ([record(len(texts) + 1, end, call)] if end else [])


def read(records: list[Chunk]) -> tuple[ChunkReader, list[Step]]:
    reader = ChunkReader()
    return reader, [reader.take(each) for each in records]


@dataclass(frozen=True)
class History:
    """Records as they stand in a partition, and what the last call's make of the answer."""

    records: list[Chunk]
    text: str
    ended: bool


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Calls one after the other, each record perhaps twice, late ones after the next has begun.

    Attempts may repeat or fall back, as they do after a crash, and clocks may as well.
    """
    records: list[Chunk] = []
    late: list[Chunk] = []
    text, end = "", None
    calls = draw(
        st.lists(
            st.tuples(st.integers(1, 3), st.integers(0, 5)), min_size=1, max_size=4, unique=True
        )
    )
    for attempt, began in calls:
        texts = draw(st.lists(st.text(min_size=1, max_size=4), max_size=5))
        end = draw(st.sampled_from([None, "ended", "failed"]))
        own = run(CallName(attempt, float(began)), texts, end)
        # A call that lost its prompt may write its last records only when the next one runs.
        kept = draw(st.integers(1, len(own)))
        now, later = own[:kept], own[kept:]
        records.append(now[0])
        for each in now[1:]:
            records += [each] * draw(st.integers(1, 2))
            comes: bool = draw(st.booleans())
            if late and comes:
                records.append(late.pop(0))
        text, end = "".join(texts[: kept - 1]), end if not later else None
        late = later
    return History(records, "" if end == "failed" else text, end == "ended")


@given(histories())
def test_only_the_call_that_began_last_counts_whatever_else_is_in_the_log(made: History) -> None:
    reader, _ = read(made.records)
    assert reader.text == made.text
    assert reader.whole == made.ended
    assert not reader.has_gap


@given(histories(), st.data())
def test_a_record_that_is_missing_is_never_passed_over_in_silence(
    made: History, data: st.DataObject
) -> None:
    once = list({(one.call, one.seq): one for one in made.records}.values())
    gone = data.draw(st.sampled_from(once))
    reader, _ = read([one for one in made.records if one != gone])
    assert not reader.whole or reader.text == made.text


@given(st.lists(st.text(min_size=1, max_size=4), max_size=5), st.integers(0, 6))
def test_a_reader_that_comes_late_knows_that_it_has_not_all(texts: list[str], cut: int) -> None:
    records = run(FIRST, texts, "ended")
    reader, _ = read(records[min(cut, len(records) - 1) :])
    assert reader.whole == (cut == 0)


def test_each_record_says_what_it_was() -> None:
    first, second = run(FIRST, ["a", "b"], None), run(SECOND, ["c"], "ended")
    reader, steps = read([*first, second[0], first[2], *second[1:], second[1]])
    assert steps == [
        *(Step.STARTED, Step.ADDED, Step.ADDED),
        *(Step.AGAIN, Step.DROPPED, Step.ADDED, Step.ENDED, Step.DROPPED),
    ]
    assert (reader.text, reader.call, reader.provider) == ("c", SECOND, "azure")


def test_a_failed_call_is_void_before_the_next_one_begins() -> None:
    records = run(FIRST, ["half an ans"], "failed")
    reader, steps = read([*records, replace(records[1], seq=5)])
    assert steps[2:] == [Step.FAILED, Step.DROPPED]
    assert (reader.text, reader.whole) == ("", False)


def test_the_same_attempt_made_again_after_a_crash_is_another_call() -> None:
    again = CallName(1, FIRST.began_at + 5)
    reader, steps = read([*run(FIRST, ["half"], None), *run(again, ["all"], "ended")])
    assert (steps[2], reader.text, reader.whole) == (Step.AGAIN, "all", True)


def test_choices_have_texts_of_their_own() -> None:
    records = run(FIRST, ["a", "b", "c"], "ended")
    records[2] = replace(records[2], index=1)
    reader, _ = read(records)
    assert (reader.text_of(0), reader.text_of(1), reader.text_of(2)) == ("ac", "b", "")
