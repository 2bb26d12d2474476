"""A second call beside one that does not answer: one completion, both calls known and paid for."""

import asyncio
from typing import Any

import pytest

from broker.core.retry_budget import RetryBudget
from broker.records.calls import CallEvent
from broker.settings.providers import ProviderSettings
from tests.workers import local_provider as says
from tests.workers.building import on_loop, partition_of, until, work
from tests.workers.test_answering import Running, running
from workers.hedging import LOST

AFTER_S = 0.15


def asked(prompt_id: str = "p", **given: Any) -> Any:
    return work(prompt_id, priority="interactive", fields={"provider": "azure"}, **given)


def ends(worker: Running) -> dict[int, CallEvent]:
    """The journal's end of each attempt; each has one, and a start before it."""
    events = worker.made.journal.of("ended")
    found = {event.attempt: event for event in events}
    assert len(found) == len(events)
    assert {event.attempt for event in worker.made.journal.of("started")} == set(found)
    return found


def run(worker: Running, given: Any, partition: int = 0) -> Any:
    async def one() -> Any:
        worker.read((partition, given))
        await until(worker.completions)
        await until(lambda: not worker.answering.running)
        worker.check_all_free()
        (completion,) = worker.completions()
        return completion

    return one()


class TestTheFirstAnswerWins:
    def test_the_second_call_s_when_the_first_hangs(self) -> None:
        async def main() -> None:
            async with running(hedge_after_s=AFTER_S) as worker:
                worker.provider.replies["p"] = [says.silent(), says.good("second")]
                completion = await run(worker, asked())
                assert (completion.text, completion.calls) == ("second", 2)
                found = ends(worker)
                assert (found[1].outcome, found[1].code) == ("stop", LOST)
                assert found[2].outcome == "ok"
                # The loser is paid for as well, by estimate.
                first, second = found[1].cost_usd, found[2].cost_usd
                assert first is not None
                assert second is not None
                assert found[1].cost_estimated
                assert completion.cost_usd == pytest.approx(first + second)

        on_loop(main())

    def test_the_first_call_s_when_it_is_quicker_after_all(self) -> None:
        async def main() -> None:
            async with running(hedge_after_s=AFTER_S) as worker:
                worker.provider.replies["p"] = [says.silent(0.6), says.silent()]
                completion = await run(worker, asked())
                assert completion.calls == 2
                found = ends(worker)
                assert found[1].outcome == "ok"
                assert (found[2].outcome, found[2].code) == ("stop", LOST)

        on_loop(main())

    def test_a_failure_is_no_answer(self) -> None:
        async def main() -> None:
            async with running(hedge_after_s=AFTER_S) as worker:
                worker.provider.replies["p"] = [says.silent(0.6), says.error(500)]
                completion = await run(worker, asked())
                assert (completion.status, completion.calls) == ("succeeded", 2)
                found = ends(worker)
                assert (found[1].outcome, found[2].code) == ("ok", "500")

        on_loop(main())

    def test_two_failures_are_one(self) -> None:
        async def main() -> None:
            async with running(hedge_after_s=AFTER_S) as worker:

                async def late_error(request: Any) -> Any:
                    await asyncio.sleep(0.5)
                    return await says.error(401)(request)

                worker.provider.replies["p"] = [late_error, says.error(500)]
                completion = await run(worker, asked())
                assert (completion.status, completion.calls) == ("failed", 2)
                assert {n: end.http_status for n, end in ends(worker).items()} == {1: 401, 2: 500}

        on_loop(main())

    def test_a_refusal_is_final_though_another_call_might_have_answered(self) -> None:
        async def main() -> None:
            async with running(hedge_after_s=AFTER_S) as worker:
                refusal = says.error(400, "content_filter")
                worker.provider.replies["p"] = [says.silent(), refusal]
                completion = await run(worker, asked())
                assert (completion.status, completion.calls) == ("refused", 2)
                assert ends(worker)[1].code == LOST

        on_loop(main())


class TestItIsNotMade:
    @pytest.mark.parametrize("why", ["off", "standard", "heavy", "stream", "quick", "no slot"])
    def test_where_it_should_not_be(self, why: str) -> None:
        async def main() -> None:
            after_s = None if why == "off" else AFTER_S
            slots = 1 if why == "no slot" else 8
            async with running(hedge_after_s=after_s, slots=slots) as worker:
                given = asked()
                if why == "standard":
                    given = work("p", fields={"provider": "azure"})
                elif why == "stream":
                    given = asked(stream=True)
                    given.fields["stream"] = True
                wait = 0.0 if why == "quick" else 0.6
                worker.provider.reply = says.silent(wait)
                if why == "stream":
                    pieces = (says.chunk("Hi"), says.chunk(finish="stop"), says.USAGE, says.DONE)
                    worker.provider.reply = says.streamed(*pieces, first_s=wait)
                partition = partition_of("heavy") if why == "heavy" else 0
                completion = await run(worker, given, partition)
                assert (completion.status, completion.calls) == ("succeeded", 1)

        on_loop(main())

    def test_without_quota_or_budget(self) -> None:
        async def main() -> None:
            for given in (
                {"provider": ProviderSettings(max_in_flight=8, requests_per_minute=1)},
                {"budget": RetryBudget(0.0, floor=0)},
            ):
                async with running(hedge_after_s=AFTER_S, **given) as worker:
                    worker.provider.reply = says.silent(0.6)
                    assert (await run(worker, asked())).calls == 1

        on_loop(main())


def test_a_partition_that_is_lost_meanwhile_ends_both_calls() -> None:
    async def main() -> None:
        async with running(hedge_after_s=AFTER_S) as worker:
            worker.provider.reply = says.silent()
            worker.read((0, asked()))
            await until(lambda: worker.provider.served["p"] == 2)
            worker.lose([0])
            await until(lambda: not worker.answering.running)
            worker.check_all_free()
            assert {event.code for event in ends(worker).values()} == {"given_up"}
            assert not worker.completions()

    on_loop(main())
