"""Streams that fail follow the retry table; a reader of the chunks keeps no half answer."""

import asyncio
import time

import orjson
import pytest

from broker.core.chunk_reading import ChunkReader
from broker.core.retries import Transport
from broker.records.completion import decode_completion
from tests.workers import local_provider as says
from tests.workers.building import Bench, bench, job, on_loop, until, work
from workers.ends import End, Finish, Move, Rest
from workers.exchange import CallLimits
from workers.job import Job
from workers.ticket import Ticket

QUICK = CallLimits(connect=2.0, first_byte=1.0, between_bytes=0.4, total=8.0)
GOOD = (says.chunk("Because "), says.chunk("of Rayleigh."), says.chunk(finish="stop"))
WHOLE = (*GOOD, says.USAGE, says.DONE)
BALLOON = says.chunk("🎈").replace(b"\\ud83c\\udf88", "🎈".encode())
AT = BALLOON.index("🎈".encode())


def streamed(*, alone: bool = False) -> Job:
    """A prompt that wants a stream; `alone` is one that no other provider could take."""
    route = ("coreweave", "google", "azure") if alone else ("azure",)
    return job(work(fields={"stream": True}, route=route))


async def attempt(made: Bench, given: Job) -> End:
    ticket = Ticket.ask(made.breaker, time.time())
    assert ticket is not None
    return await made.attempts.run(given, ticket)


def once(reply: says.Reply, given: Job | None = None) -> tuple[End, Bench]:
    async def main() -> tuple[End, Bench]:
        async with says.local_provider() as provider:
            provider.reply = reply
            made = bench(provider.url, limits=QUICK)
            try:
                return await attempt(made, given or streamed()), made
            finally:
                await made.attempts.client.close()

    return on_loop(main())


def reader_of(made: Bench) -> ChunkReader:
    reader = ChunkReader()
    for each in made.chunks.taken:
        reader.take(each)
    return reader


def error_inside(code: str) -> bytes:
    error = {"message": "No, because.", "type": "server_error", "code": code}
    return b"data: " + orjson.dumps({"error": error}) + b"\n\n"


@pytest.mark.parametrize(
    ("pieces", "end", "code", "follows"),
    [
        pytest.param(GOOD[:2], "close", Transport.STREAM_CUT, Rest, id="no finish reason"),
        pytest.param((*GOOD[:2], says.DONE), "close", Transport.STREAM_CUT, Rest, id="only [DONE]"),
        pytest.param(GOOD[:1], "abort", Transport.STREAM_CUT, Rest, id="cut"),
        pytest.param(GOOD[:1], "hang", Transport.BETWEEN_BYTES_TIMEOUT, Move, id="stalled"),
        pytest.param(
            (*GOOD[:1], error_inside("server_error")), "close", "server_error", Rest, id="error"
        ),
        pytest.param(
            (*GOOD[:1], error_inside("insufficient_quota")),
            *("close", "insufficient_quota", Move),
            id="an error that moves",
        ),
        pytest.param(
            (GOOD[0], GOOD[1].replace(b"Rayleigh", b"Rayl\xc3gh"), *WHOLE[2:]),
            *("close", Transport.MALFORMED, Rest),
            id="broken UTF-8",
        ),
        pytest.param(
            (GOOD[0], BALLOON[: AT + 2], b'"}}]}\n\n', *WHOLE[2:]),
            *("close", Transport.MALFORMED, Rest),
            id="a character cut off",
        ),
        pytest.param(
            (GOOD[0], GOOD[1].replace(b"Rayleigh", b"\\ud83c"), *WHOLE[2:]),
            *("close", Transport.MALFORMED, Rest),
            id="half a surrogate pair",
        ),
    ],
)
def test_a_stream_that_fails_after_its_first_pieces_is_void(
    pieces: tuple[bytes, ...], end: str, code: str, follows: type[End]
) -> None:
    ended, made = once(says.streamed(*pieces, end=end, pause_s=0.03))
    assert isinstance(ended, follows)
    (journaled,) = made.journal.of("ended")
    assert journaled.code == code
    assert journaled.first_token_ms is not None
    events = [(one.event, one.seq) for one in made.chunks.taken]
    assert events[:2] == [("started", 0), ("piece", 1)]
    last = made.chunks.taken[-1]
    assert (last.event, last.outcome, last.code) == ("failed", journaled.outcome, code)
    reader = reader_of(made)
    assert (reader.text, reader.whole, reader.has_gap) == ("", False, False)


def test_a_character_split_over_packets_is_whole() -> None:
    for cut in range(1, 4):
        pieces = (GOOD[0], BALLOON[: AT + cut], BALLOON[AT + cut :], *WHOLE[2:])
        end, made = once(says.streamed(*pieces, pause_s=0.02))
        assert isinstance(end, Finish)
        assert decode_completion(end.value).text == reader_of(made).text == "Because 🎈"


def test_the_next_call_has_the_next_attempt_and_a_reader_has_only_its_pieces() -> None:
    async def main() -> None:
        async with says.local_provider() as provider:
            half = says.streamed(says.chunk("Half an answ"), says.chunk("er"), pause_s=0.03)
            provider.replies["a"] = [half, half, says.streamed(*WHOLE, pause_s=0.03)]
            made, given = bench(provider.url, limits=QUICK), streamed(alone=True)
            ends = [await attempt(made, given) for _ in range(3)]
            assert [type(end) for end in ends] == [Rest, Rest, Finish]
            assert isinstance(ends[-1], Finish)
            calls = [one.call for one in made.chunks.taken if one.event == "started"]
            assert [call.attempt for call in calls] == [1, 2, 3]
            assert calls == sorted(calls)
            assert [one.attempt for one in made.journal.of("ended")] == [1, 2, 3]
            reader = reader_of(made)
            done = decode_completion(ends[-1].value)
            assert (done.text, done.calls, reader.text) == (says.ANSWER, 3, says.ANSWER)
            assert reader.whole
            last = made.chunks.taken[-1]
            assert (last.event, last.finish_reason, last.outcome) == ("ended", "stop", "ok")
            assert last.usage is not None
            assert (last.usage.input_tokens, last.usage.output_tokens) == (6, 4)
            await made.attempts.client.close()

    on_loop(main())


def test_a_call_that_is_given_up_leaves_its_pieces_void() -> None:
    async def main() -> None:
        async with says.local_provider() as provider:
            provider.reply = says.streamed(*GOOD[:1], end="hang")
            made = bench(provider.url)
            task = asyncio.ensure_future(attempt(made, streamed()))
            await until(lambda: reader_of(made).text)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            last = made.chunks.taken[-1]
            assert (last.event, last.outcome, last.code) == ("failed", "stop", "given_up")
            await made.attempts.client.close()

    on_loop(main())


def test_kafka_that_takes_no_chunk_does_not_keep_an_answer_from_its_prompt() -> None:
    async def main() -> None:
        async with says.local_provider() as provider:
            provider.reply = says.streamed(*WHOLE)
            made = bench(provider.url)
            made.chunks.is_full = True
            end = await attempt(made, streamed())
            assert isinstance(end, Finish)
            assert end.completion.text == says.ANSWER
            assert made.value("weighbridge_chunks_total", fate="held") >= 1
            await made.attempts.client.close()

    on_loop(main())


def test_a_refusal_in_a_stream_ends_it_and_is_not_called_again() -> None:
    refused = (says.chunk("Because"), says.chunk(finish="content_filter"), says.DONE)
    end, made = once(says.streamed(*refused))
    assert isinstance(end, Finish)
    assert end.completion.status == "refused"
    last = made.chunks.taken[-1]
    assert (last.event, last.outcome, last.finish_reason) == ("ended", "stop", "content_filter")


def test_an_answer_that_comes_whole_has_no_chunks() -> None:
    end, made = once(says.good(), job())
    assert isinstance(end, Finish)
    assert made.chunks.taken == []
    assert made.journal.of("ended")[0].per_token_ms is None


def test_the_time_of_each_token_is_journaled_and_counted() -> None:
    pieces = [says.chunk(str(number)) for number in range(4)]
    end, made = once(says.streamed(*pieces, *WHOLE[2:], pause_s=0.05))
    assert isinstance(end, Finish)
    (ended,) = made.journal.of("ended")
    assert ended.per_token_ms is not None
    # Four tokens, three of them after the first, with at least the pauses between the pieces.
    assert ended.per_token_ms >= 50
    assert made.value("weighbridge_per_token_seconds_count", lane="light") == 1
