"""One attempt at a job: the real client against a real HTTP server."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import orjson
import pytest

from broker.core.retries import COMMON, Action, RetryRules, Transport, Verdict
from broker.records.calls import CallEvent
from broker.records.completion import decode_completion
from tests.workers import local_provider as says
from tests.workers.building import Bench, bench, job, on_loop, report, until, work
from workers.ends import End, Finish, Move, Rest
from workers.exchange import CallLimits
from workers.job import Job
from workers.providers.openai import OpenAI
from workers.ticket import Ticket

SHORT = CallLimits(connect=2.0, first_byte=3.0, between_bytes=3.0, total=9.0)
QUICK = CallLimits(connect=1.0, first_byte=0.5, between_bytes=0.4, total=2.5)
"""For what is meant to run into a limit."""


async def attempt(made: Bench, given: Job) -> End:
    ticket = Ticket.ask(made.breaker, time.time())
    assert ticket is not None
    return await made.attempts.run(given, ticket)


def once(
    reply: says.Reply,
    given: Job | None = None,
    *,
    limits: CallLimits | None = None,
    rules: RetryRules | None = None,
    prepare: Callable[[Bench], None] | None = None,
) -> tuple[End, Bench, Job]:
    """One attempt against a provider that answers so."""
    given = given or job()

    async def main() -> tuple[End, Bench, Job]:
        async with says.local_provider() as provider:
            provider.reply = reply
            made = bench(provider.url, limits=limits or SHORT, rules=rules)
            if prepare is not None:
                prepare(made)
            try:
                return await attempt(made, given), made, given
            finally:
                await made.attempts.client.close()

    return on_loop(main())


def alone(given: Job | None = None) -> Job:
    """A job that no other provider could take."""
    return given or job(work(route=("coreweave", "google", "azure")))


def expected_of(row: Verdict, end: End) -> bool:
    if row.action is Action.RETRY:
        return isinstance(end, Rest)
    if row.action is Action.MOVE:
        return isinstance(end, Move) and end.to.provider == "google"
    status = "refused" if row.action is Action.REFUSED else "failed"
    return isinstance(end, Finish) and end.completion.status == status


class TestTheTableOverHttp:
    @pytest.mark.parametrize("status", COMMON.by_status)
    def test_each_status_leads_where_the_table_says(self, status: int) -> None:
        end, made, _ = once(says.error(status))
        assert expected_of(COMMON.by_status[status], end)
        (ended,) = made.journal.of("ended")
        assert (ended.http_status, ended.code) == (status, str(status))
        row = COMMON.by_status[status]
        assert made.breaker.is_spent == row.spent
        if not row.spent:
            assert made.breaker._row == row.unhealthy  # noqa: SLF001 - what it counted

    @pytest.mark.parametrize("code", OpenAI.retries.by_code)
    def test_each_code_goes_before_its_status(self, code: str) -> None:
        end, made, _ = once(says.error(418, code))
        assert expected_of(OpenAI.retries.by_code[code], end)
        assert made.journal.of("ended")[0].code == code

    @pytest.mark.parametrize(
        ("status", "told", "action"),
        [(503, "false", Action.MOVE), (418, "true", Action.RETRY), (418, "odd", Action.FAILED)],
    )
    def test_the_providers_own_word_on_another_try_is_kept(
        self, status: int, told: str, action: Action
    ) -> None:
        end, _, _ = once(says.error(status, x_should_retry=told))
        assert expected_of(Verdict(action), end)

    @pytest.mark.parametrize(("status", "action"), [(302, Action.MOVE), (599, Action.RETRY)])
    def test_a_status_that_is_not_listed_goes_by_its_class(
        self, status: int, action: Action
    ) -> None:
        end, _, _ = once(says.error(status))
        assert expected_of(Verdict(action), end)

    @pytest.mark.parametrize(
        ("reply", "transport", "action"),
        [
            (says.cut, Transport.CUT, Action.RETRY),
            (says.cut_inside, Transport.CUT, Action.RETRY),
            (says.silent(), Transport.FIRST_BYTE_TIMEOUT, Action.MOVE),
            (says.bytes_of(b"{"), Transport.MALFORMED, Action.RETRY),
            (says.bytes_of(b"[1]"), Transport.MALFORMED, Action.RETRY),
            (says.bytes_of(b"{}"), Transport.MALFORMED, Action.RETRY),
            (says.bytes_of(b'{"choices": []}'), Transport.MALFORMED, Action.RETRY),
            (says.bytes_of(b"\xff"), Transport.MALFORMED, Action.RETRY),
            (says.bytes_of(b""), Transport.MALFORMED, Action.RETRY),
        ],
    )
    def test_a_failed_transport_has_its_word_and_its_row(
        self, reply: says.Reply, transport: Transport, action: Action
    ) -> None:
        end, made, given = once(reply, limits=QUICK)
        assert expected_of(Verdict(action), end)
        assert made.journal.of("ended")[0].code == transport
        assert given.last_failure == transport.replace("_", " ")
        assert made.breaker._row == 1  # noqa: SLF001 - what it counted

    @pytest.mark.parametrize(
        ("pieces", "end", "transport"),
        [
            ((says.chunk("Because"),), "close", Transport.STREAM_CUT),
            ((says.chunk("Because"),), "abort", Transport.STREAM_CUT),
            ((), "close", Transport.STREAM_CUT),
            ((says.chunk("Because"), says.DONE), "close", Transport.STREAM_CUT),
            ((says.chunk("Because"),), "hang", Transport.BETWEEN_BYTES_TIMEOUT),
            ((), "hang", Transport.FIRST_BYTE_TIMEOUT),
            ((b": still there\n\n",) * 90, "hang", Transport.FIRST_BYTE_TIMEOUT),
            ((says.chunk("x"),) * 200, "close", Transport.TOTAL_TIMEOUT),
            ((b"data: {\n\n",), "close", Transport.MALFORMED),
            ((b"data: []\n\n",), "close", Transport.MALFORMED),
        ],
    )
    def test_a_stream_that_does_not_become_whole_is_a_failure(
        self, pieces: tuple[bytes, ...], end: str, transport: Transport
    ) -> None:
        reply = says.streamed(*pieces, end=end, pause_s=0.03)
        _, made, _ = once(reply, job(work(fields={"stream": True})), limits=QUICK)
        (ended,) = made.journal.of("ended")
        assert (ended.code, ended.http_status) == (transport, 200)
        assert ended.outcome in {"retry", "move"}

    def test_nobody_listens(self) -> None:
        async def main() -> None:
            made = bench("http://127.0.0.1:9/v1")
            assert isinstance(await attempt(made, job()), Rest)
            assert made.journal.of("ended")[0].code == Transport.CONNECT
            await made.attempts.client.close()

        on_loop(main())


class TestRetryAfter:
    @pytest.mark.parametrize(
        ("headers", "least", "most"),
        [
            ({"Retry_After": "2"}, 2.0, 2.02),
            ({"Retry_After": "1.5"}, 1.5, 1.52),
            ({"retry_after_ms": "1200", "Retry_After": "9"}, 1.2, 1.22),
            ({"Retry_After": "0"}, 0.0, 0.02),
            ({"Retry_After": "Mon, 01 Jan 2024 00:00:00 GMT"}, 0.0, 0.02),
            ({"Retry_After": "soon"}, 0.0, 0.02),
            ({"Retry_After": "nan"}, 0.0, 0.02),
            ({"retry_after_ms": "inf"}, 0.0, 0.02),
            ({"Retry_After": "-7"}, 0.0, 0.02),
        ],
    )
    def test_the_next_call_is_never_before_the_time_named(
        self, headers: dict[str, str], least: float, most: float
    ) -> None:
        before = time.time()
        end, _, _ = once(says.error(429, "rate_limit_exceeded", **headers))
        assert isinstance(end, Rest)
        assert before + least <= end.until <= time.time() + most

    def test_a_date_is_understood(self) -> None:
        at = datetime.now(UTC) + timedelta(seconds=5)
        end, _, _ = once(says.error(429, Retry_After=format_datetime(at, usegmt=True)))
        assert isinstance(end, Rest)
        assert at.timestamp() - 1 <= end.until <= at.timestamp() + 0.02

    def test_who_asks_for_long_is_left(self) -> None:
        end, _, _ = once(says.error(429, Retry_After="3600"))
        assert isinstance(end, Move)
        assert "429, try again after 3600 s" in end.to.sentence

    def test_with_nobody_else_an_hour_is_not_waited_for(self) -> None:
        end, _, _ = once(says.error(429, Retry_After="3600"), alone())
        assert isinstance(end, Finish)
        assert end.completion.status == "failed"

    def test_with_nobody_else_a_minute_is(self) -> None:
        end, _, _ = once(says.error(429, Retry_After="60"), alone())
        assert isinstance(end, Rest)
        assert end.until > time.time() + 55


class TestAnswers:
    @pytest.mark.parametrize("stream", [False, True])
    def test_an_answer_is_a_completion_with_all_its_figures(self, *, stream: bool) -> None:
        pieces = [says.chunk("Because "), says.chunk("of Rayleigh."), says.chunk(finish="stop")]
        reply = says.streamed(*pieces, says.USAGE, says.DONE) if stream else says.good()
        given = job(work(fields={"stream": stream, "metadata": {"k": "v"}}, attempt=1))
        end, made, _ = once(reply, given)
        assert isinstance(end, Finish)
        done = decode_completion(end.value)
        assert (done.status, done.text) == ("succeeded", says.ANSWER)
        assert (done.input_tokens, done.output_tokens, done.cost_usd) == (6, 4, 14e-6)
        assert (done.calls, done.provider, done.provider_model) == (2, "azure", "gpt-deployed")
        assert (done.lane, done.metadata, done.error) == ("light", {"k": "v"}, None)
        started, ended = made.journal.events
        assert (started.event, started.attempt) == ("started", 2)
        assert (ended.event, ended.attempt, ended.outcome) == ("ended", 2, "ok")
        assert (ended.output_tokens, ended.cost_usd) == (4, 14e-6)
        assert made.value("weighbridge_calls_total", outcome="ok", code="") == 1

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            (
                says.completion(
                    None,
                    choices=[
                        {
                            "index": 0,
                            "message": {"role": "assistant", "content": None},
                            "finish_reason": "content_filter",
                        }
                    ],
                ),
                "answer_filtered",
            ),
            (says.completion(None, message={"refusal": "I cannot."}), "model_refusal"),
        ],
    )
    def test_an_answer_that_refuses_is_refused_and_keeps_its_body(
        self, body: dict[str, object], code: str
    ) -> None:
        end, made, _ = once(says.bytes_of(orjson.dumps(body)))
        assert isinstance(end, Finish)
        done = decode_completion(end.value)
        assert (done.status, done.text, done.body) == ("refused", None, body)
        assert done.error is not None
        assert (done.error.code, done.error.provider_status) == (code, 200)
        assert made.journal.of("ended")[0].outcome == "stop"

    def test_a_refusal_over_http_is_not_carried_to_another_provider(self) -> None:
        end, _, _ = once(says.error(400, "content_filter"))
        assert isinstance(end, Finish)
        error = end.completion.error
        assert error is not None
        assert (end.completion.status, error.type, error.code) == (
            "refused",
            "said_no",
            "content_filter",
        )
        assert (error.message, error.provider_status) == ("No, because.", 400)

    def test_the_first_token_is_that_of_the_text_not_of_the_head(self) -> None:
        pieces = (says.chunk("Because"), says.chunk(finish="stop"), says.DONE)
        reply = says.streamed(*pieces, first_s=0.15)
        end, made, _ = once(
            reply, job(work(fields={"stream": True})), limits=CallLimits(1.0, 2.0, 2.0, 4.0)
        )
        assert isinstance(end, Finish)
        first = made.journal.of("ended")[0].first_token_ms
        assert first is not None
        assert first >= 145

    def test_an_error_with_a_good_status_is_an_error(self) -> None:
        end, made, _ = once(says.bytes_of(b'{"error": {"code": "server_is_overloaded"}}'))
        assert isinstance(end, Rest)
        assert made.journal.of("ended")[0].code == "server_is_overloaded"

    def test_an_error_in_the_middle_of_a_stream_is_an_error(self) -> None:
        bad = b'data: {"error": {"code": "rate_limit_exceeded", "message": "No."}}\n\n'
        end, made, _ = once(
            says.streamed(says.chunk("Because"), bad), job(work(fields={"stream": True}))
        )
        assert isinstance(end, Rest)
        assert made.journal.of("ended")[0].code == "rate_limit_exceeded"


class TestBounds:
    def test_the_last_call_of_all_ends_it(self) -> None:
        end, _, _ = once(says.error(500), job(work(attempt=5)))
        assert isinstance(end, Finish)
        assert (end.completion.status, end.completion.calls) == ("failed", 6)

    def test_after_its_tries_here_it_moves_with_the_whole_reason(self) -> None:
        given = job()
        given.calls = given.calls_here = 1
        end, _, _ = once(says.error(503), given)
        assert isinstance(end, Move)
        assert end.to.sentence.startswith("azure 503, 2 times, google")

    def test_with_nobody_left_it_fails_and_says_why(self) -> None:
        end, _, _ = once(says.error(401, "invalid_api_key"), alone())
        assert isinstance(end, Finish)
        error = end.completion.error
        assert error is not None
        assert error.code == "invalid_api_key"
        assert "No other provider can take it" in error.message
        assert error.not_routed is not None
        assert error.not_routed.code == "all_tried"
        lost = [(one["provider"], one["lost"]) for one in error.not_routed.candidates]
        assert lost == [(name, "tried") for name in ("azure", "google", "coreweave")]
        assert [step.provider for step in end.completion.route] == ["coreweave", "google", "azure"]

    def test_a_provider_whose_breaker_is_open_is_not_moved_to(self) -> None:
        def prepare(made: Bench) -> None:
            again = time.time() + 9
            made.reports["google"] = (report("google", breaker="open", opens_again_at=again),)

        end, _, _ = once(says.error(401), prepare=prepare)
        assert isinstance(end, Move)
        assert end.to.provider == "coreweave"

    def test_a_deadline_in_the_middle_of_a_call_ends_it_as_expired(self) -> None:
        given = job(work(deadline=time.time() + 0.15))
        end, made, _ = once(says.silent(), given, limits=CallLimits(2.0, 2.0, 2.0, 5.0))
        assert isinstance(end, Finish)
        done = end.completion
        assert (done.status, done.calls) == ("expired", 1)
        assert done.error is not None
        assert done.error.code == "deadline_passed"
        assert made.journal.of("ended")[0].code == "deadline_passed"
        assert made.breaker._row == 0  # noqa: SLF001 - the provider was within its time

    @pytest.mark.parametrize("early_s", [0.0005, 0.002])
    def test_a_timer_that_fires_a_moment_early_is_still_the_deadline(self, early_s: float) -> None:
        """A loop may be early by its clock's grain; then it looked like a slow provider."""

        async def main() -> None:
            from workers.exchange import Exchange  # noqa: PLC0415 - only its inside is looked at

            exchange = Exchange(SHORT, time.time() + 0.1)
            exchange.begin()
            await asyncio.sleep(0.1 - early_s - 0.02)
            assert exchange.failed_by(TimeoutError()) == (Transport.TOTAL_TIMEOUT, True)

        on_loop(main())

    def test_a_deadline_that_passes_while_the_journal_is_written_sends_nothing(self) -> None:
        async def main() -> None:
            async with says.local_provider() as provider:
                made = bench(provider.url)
                made.journal.stuck = True
                given = job(work(deadline=time.time() + 0.05))
                running = asyncio.ensure_future(attempt(made, given))
                written: list[asyncio.Future[None]] = []
                real = made.journal.started

                def started(event: CallEvent) -> asyncio.Future[None]:
                    written.append(real(event))
                    return written[-1]

                made.journal.started = started  # type: ignore[method-assign]  # to let go of it
                await until(lambda: written)
                await asyncio.sleep(0.06)
                written[0].set_result(None)
                end = await running
                assert isinstance(end, Finish)
                assert end.completion.status == "expired"
                assert not provider.asked
                await made.attempts.client.close()

        on_loop(main())

    def test_a_model_that_this_provider_does_not_serve_is_moved_uncalled(self) -> None:
        async def main() -> None:
            async with says.local_provider() as provider:
                made = bench(provider.url, models={"other": "x"})
                end = await attempt(made, job())
                assert isinstance(end, Move)
                assert "does not serve the model" in end.to.sentence
                last = await attempt(made, alone())
                assert isinstance(last, Finish)
                assert last.completion.error is not None
                assert last.completion.error.code == "model_not_served"
                assert not provider.asked
                assert not made.journal.events
                await made.attempts.client.close()

        on_loop(main())


class TestJournal:
    def test_a_call_that_the_journal_refuses_is_not_made(self) -> None:
        async def main() -> None:
            async with says.local_provider() as provider:
                made, given = bench(provider.url), job()
                made.journal.refuses = True
                before = time.time()
                end = await attempt(made, given)
                assert isinstance(end, Rest)
                assert end.until > before + 0.9
                assert (given.calls, given.retries, provider.asked) == (0, False, [])
                assert not made.journal.of("ended")
                await made.attempts.client.close()

        on_loop(main())

    def test_who_does_not_wait_for_it_calls_at_once(self) -> None:
        async def main() -> None:
            async with says.local_provider() as provider:
                made = bench(provider.url, wait_for_journal=False)
                made.journal.stuck = True
                assert isinstance(await attempt(made, job()), Finish)
                assert [event.event for event in made.journal.events] == ["started", "ended"]
                await made.attempts.client.close()

        on_loop(main())

    @pytest.mark.parametrize("stuck", [True, False])
    def test_a_call_that_is_given_up_is_noted_under_its_own_number(self, *, stuck: bool) -> None:
        async def main() -> None:
            async with says.local_provider() as provider:
                provider.reply = says.silent()
                made, given = bench(provider.url), job(work(attempt=1))
                made.journal.stuck = stuck
                task = asyncio.ensure_future(attempt(made, given))
                await until(lambda: made.journal.events if stuck else provider.asked)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                (ended,) = made.journal.of("ended")
                assert (ended.attempt, ended.code, ended.outcome) == (2, "given_up", "stop")
                await made.attempts.client.close()

        on_loop(main())
