"""Pieces on their way to the chunks: joined for a moment, in order, never lost for want of room."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.core.chunk_reading import ChunkReader
from broker.records.chunk import Chunk
from broker.telemetry.metrics import WorkerMetrics
from tests.workers.building import CHUNK_EVERY_S, on_loop, until, work
from tests.workers.written import Chunks
from workers import answer_stream, streaming
from workers.answer_stream import AnswerStream
from workers.providers.dialect import Piece
from workers.streaming import Streams
from workers.tallies import Tallies


class Made:
    """Streams of a worker with what they publish."""

    def __init__(self, every_s: float = CHUNK_EVERY_S) -> None:
        self.chunks = Chunks()
        self._metrics = WorkerMetrics()
        self.streams = Streams(self.chunks, "azure", every_s, Tallies(self._metrics))

    def begin(self, prompt_id: str = "a", attempt: int = 1, **given: object) -> AnswerStream:
        return self.streams.begin(work(prompt_id, **given), attempt, 1_000.0)  # type: ignore[arg-type]  # fields of a work record

    def fates(self, fate: str) -> float:
        name = "weighbridge_chunks_total"
        return self._metrics.registry.get_sample_value(name, {"fate": fate}) or 0.0

    @property
    def texts(self) -> list[str]:
        """The texts of the pieces, each record one."""
        return [(one.delta or {})["content"] for one in self.chunks.taken if one.event == "piece"]

    @property
    def events(self) -> list[str]:
        return [one.event for one in self.chunks.taken]


def said(text: str, index: int = 0, finish: str | None = None) -> Piece:
    return Piece(index, {"content": text}, finish)


def reader_of(records: list[Chunk]) -> ChunkReader:
    reader = ChunkReader()
    for each in records:
        reader.take(each)
    return reader


def test_the_first_piece_goes_out_at_once_and_the_next_ones_together() -> None:
    async def main() -> None:
        made = Made(every_s=0.2)
        stream = made.begin()
        stream.take([Piece(0, {"role": "assistant", "content": ""})])
        assert made.events == ["started"], "a role shows nothing"
        stream.take([said("Be")])
        assert made.texts == ["Be"]
        for text in ("cau", "se", " of", " Ray"):
            stream.take([said(text)])
        assert made.texts == ["Be"]
        await until(lambda: len(made.texts) > 1)
        assert made.texts == ["Be", "cause of Ray"]
        stream.take([said("leigh.", finish="stop")])
        stream.end("ok", answered=True, finish_reason="stop")
        assert made.texts[2:] == ["leigh."], "the end waits for nothing"
        assert made.events[-1] == "ended"
        assert [one.seq for one in made.chunks.taken] == [0, 1, 2, 3, 4]
        assert made.chunks.taken[1].delta == {"role": "assistant", "content": "Be"}
        assert [one.finish_reason for one in made.chunks.taken[2:]] == [None, "stop", "stop"]

    on_loop(main())


def test_a_piece_waits_no_longer_than_its_turn_whoever_else_streams() -> None:
    async def main() -> None:
        made = Made()
        streams = [made.begin(f"p{number}") for number in range(50)]
        for stream in streams:
            stream.take([said("a")])
        assert len(made.texts) == 50
        for stream in streams:
            stream.take([said("b")])
        assert len(made.texts) == 50
        await until(lambda: len(made.texts) == 100)
        assert all(made.texts.count(text) == 50 for text in "ab")

    on_loop(main())


def test_while_kafka_takes_nothing_pieces_are_joined_further_and_none_is_lost() -> None:
    async def main() -> None:
        made = Made(every_s=0.001)
        stream = made.begin()
        stream.take([said("a")])
        made.chunks.is_full = True
        for _ in range(3_000):
            stream.take([said("b")])
        await until(lambda: made.fates("held") > 1)
        assert made.chunks.tries < 100, "it is not tried for each piece"
        assert made.texts == ["a"]
        made.chunks.is_full = False
        await until(lambda: len(made.texts) > 1)
        stream.take([said("c")])
        stream.end("ok", answered=True)
        assert made.texts == ["a", "b" * 3_000, "c"]
        assert reader_of(made.chunks.taken).whole

    on_loop(main())


def test_a_call_may_begin_and_end_while_kafka_takes_nothing() -> None:
    async def main() -> None:
        made = Made()
        made.chunks.is_full = True
        stream = made.begin()
        stream.take([said("all"), said("other", 1)])
        stream.end("ok", answered=True)
        made.chunks.is_full = False
        await until(lambda: "ended" in made.events)
        assert made.events == ["started", "piece", "piece", "ended"]
        reader = reader_of(made.chunks.taken)
        assert (reader.whole, reader.text_of(0), reader.text_of(1)) == (True, "all", "other")

    on_loop(main())


def test_a_call_that_follows_one_still_held_is_the_later_one_in_the_log() -> None:
    async def main() -> None:
        made = Made()
        made.chunks.is_full = True
        first = made.begin(attempt=1)
        first.take([said("half")])
        first.end("retry", answered=False, code="stream_cut")
        second = made.begin(attempt=2)
        made.chunks.is_full = False
        second.take([said("all")])
        second.end("ok", answered=True)
        await until(lambda: "ended" in made.events)
        assert made.events == ["started", "failed", "started", "piece", "ended"]
        reader = reader_of(made.chunks.taken)
        assert (reader.text, reader.whole) == ("all", True)

    on_loop(main())


def test_what_an_ended_stream_holds_is_given_up_when_kafka_stays_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(streaming, "KEEP_S", 0.05)

    async def main() -> None:
        made = Made()
        made.chunks.is_full = True
        going = made.begin("going")
        going.take([said("a")])
        made.begin("over").end("ok", answered=True)
        await until(lambda: made.fates("lost") == 1)
        made.chunks.is_full = False
        await until(lambda: made.texts == ["a"])
        assert {one.id for one in made.chunks.taken} == {"going"}

    on_loop(main())


def test_a_failed_call_says_so_and_what_it_held_is_not_published() -> None:
    async def main() -> None:
        made = Made()
        stream = made.begin()
        stream.take([said("a")])
        stream.take([said("b")])
        stream.end("retry", answered=False, code="stream_cut")
        last = made.chunks.taken[-1]
        assert made.texts == ["a"]
        assert (last.event, last.outcome, last.code) == ("failed", "retry", "stream_cut")
        assert reader_of(made.chunks.taken).text == ""

    on_loop(main())


class TestLimits:
    def test_a_text_over_a_records_limit_becomes_several(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(answer_stream, "MOST_BYTES", 1_000)
        text = "é\x00🎈" * 2_000

        async def main() -> None:
            made = Made()
            stream = made.begin()
            stream.take([said(text), said("x" * 5_000, 1), said("end", finish="stop")])
            stream.end("ok", answered=True)
            assert len(made.texts) > 10
            assert "".join(made.texts).count("x") == 5_000
            reader = reader_of(made.chunks.taken)
            assert (reader.whole, reader.text) == (True, text + "end")
            finished = [one.finish_reason for one in made.chunks.taken if one.index == 0]
            assert finished[-1] == "stop"
            assert set(finished[:-1]) == {None}

        on_loop(main())

    def test_what_no_record_can_hold_leaves_a_gap_that_a_reader_sees(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(answer_stream, "MOST_BYTES", 1_000)

        async def main() -> None:
            made = Made()
            stream = made.begin()
            stream.take([said("a"), Piece(0, {"blob": {"data": "x" * 2_000}}), said("b")])
            stream.take([Piece(0, {"number": 1 << 80}), said("c")])
            stream.end("ok", answered=True)
            assert made.fates("lost") == 2
            reader = reader_of(made.chunks.taken)
            assert (reader.text, reader.whole, reader.has_gap) == ("abc", False, True)

        on_loop(main())


@settings(max_examples=40)
@given(
    turns=st.lists(
        st.one_of(
            st.lists(st.tuples(st.integers(0, 2), st.text(max_size=4)), min_size=1, max_size=4),
            st.sampled_from(["wait", "full", "room"]),
        ),
        max_size=12,
    )
)
def test_whatever_comes_in_between_each_choice_has_all_of_its_text(turns: list[object]) -> None:
    async def main() -> None:
        made = Made(every_s=0.001)
        stream = made.begin()
        expected = {0: "", 1: "", 2: ""}
        for turn in turns:
            if isinstance(turn, list):
                stream.take([said(text, index) for index, text in turn])
                for index, text in turn:
                    expected[index] += text
            elif turn == "wait":
                await asyncio.sleep(0.0015)
            else:
                made.chunks.is_full = turn == "full"
        made.chunks.is_full = False
        stream.end("ok", answered=True)
        await until(lambda: "ended" in made.events)
        reader = reader_of(made.chunks.taken)
        assert reader.whole
        assert {index: reader.text_of(index) for index in expected} == expected

    on_loop(main())
