"""What calls cost, from the wire to the journal and the completion: none is left out."""

import time
from collections.abc import Sequence

import pytest

from broker.records.calls import CallEvent
from broker.records.completion import decode_completion
from tests.workers import local_provider as says
from tests.workers.building import Bench, bench, job, on_loop, work
from workers.ends import End, Finish, Move, Rest
from workers.exchange import CallLimits
from workers.job import Job
from workers.ticket import Ticket

LIMITS = CallLimits(connect=2.0, first_byte=3.0, between_bytes=3.0, total=9.0)
STREAM = {"stream": True}
INPUT = 6
"""Tokens of the prompt; the bench's prices are 1 and 2 dollars for a million."""


def calls(replies: Sequence[says.Reply], given: Job) -> tuple[list[End], list[CallEvent]]:
    """One call after another, each answered by the next reply."""

    async def main() -> tuple[list[End], Bench]:
        async with says.local_provider() as provider:
            made = bench(provider.url, limits=LIMITS)
            ends = []
            for reply in replies:
                provider.reply = reply
                ticket = Ticket.ask(made.breaker, time.time())
                assert ticket is not None
                ends.append(await made.attempts.run(given, ticket))
            await made.attempts.client.close()
            return ends, made

    ends, made = on_loop(main())
    return ends, made.journal.of("ended")


def test_a_cut_stream_is_paid_for_by_what_had_come() -> None:
    text = "twelve chars" * 20
    cut = says.streamed(says.chunk(text), says.chunk(text))
    given = job(work(fields=STREAM))
    (end,), (ended,) = calls([cut], given)
    assert isinstance(end, Rest)
    assert (ended.input_tokens, ended.output_tokens) == (INPUT, 120)
    assert ended.cost_usd == pytest.approx(246e-6)
    assert ended.cost_estimated
    assert given.cost.usd == ended.cost_usd


def test_a_usage_that_came_before_the_cut_is_believed() -> None:
    cut = says.streamed(says.chunk("Because "), says.USAGE)
    _, (ended,) = calls([cut], job(work(fields=STREAM)))
    assert (ended.output_tokens, ended.cost_usd, ended.cost_estimated) == (4, 14e-6, True)


def test_the_completion_costs_all_the_calls_it_took() -> None:
    cut = says.streamed(says.chunk("Because "), says.USAGE)
    good = says.streamed(says.chunk("Because."), says.chunk(finish="stop"), says.USAGE, says.DONE)
    ends, ended = calls([says.error(429), cut, good], job(work(fields=STREAM)))
    assert [event.cost_usd for event in ended] == [0.0, 14e-6, 14e-6]
    assert [event.cost_estimated for event in ended] == [False, True, False]
    assert isinstance(ends[-1], Finish)
    done = decode_completion(ends[-1].value)
    assert (done.cost_usd, done.cost_estimated, done.calls) == (28e-6, True, 3)


def test_a_stream_without_a_usage_is_counted_here() -> None:
    good = says.streamed(says.chunk("four" * 10), says.chunk(finish="stop"), says.DONE)
    (end,), (ended,) = calls([good], job(work(fields=STREAM)))
    assert isinstance(end, Finish)
    assert (ended.input_tokens, ended.output_tokens) == (INPUT, 10)
    assert (ended.cost_usd, ended.cost_estimated) == (26e-6, True)


def test_an_answer_that_never_came_whole_has_an_unknown_cost() -> None:
    given = job()
    (end,), (ended,) = calls([says.cut_inside], given)
    assert isinstance(end, Rest)
    assert ended.cost_usd is None
    ends, _ = calls([says.good()], given)
    assert isinstance(ends[0], Finish)
    done = ends[0].completion
    assert (done.cost_usd, done.cost_estimated) == (14e-6, True)


@pytest.mark.parametrize("status", [401, 429, 503])
def test_a_provider_that_says_no_is_owed_nothing(status: int) -> None:
    (end,), (ended,) = calls([says.error(status)], job())
    assert isinstance(end, Rest | Move)
    assert (ended.cost_usd, ended.cost_estimated) == (0.0, False)
