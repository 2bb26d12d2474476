"""The workers' own client against the simulator: answers, and each fault by its right name."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
import uvloop

from broker.core.retries import Action, Transport, verdict
from broker.records.work import Work
from broker.settings.providers import ProviderSettings, ServedModel
from tests.simulator.running import Running, running, simulated, until
from tests.workers.building import work
from workers.calling import CallResult, ProviderClient
from workers.credentials import Key
from workers.exchange import CallLimits
from workers.providers.openai import OpenAI

LONG = CallLimits(connect=5.0, first_byte=20.0, between_bytes=20.0, total=40.0)
SHORT = CallLimits(connect=0.5, first_byte=0.5, between_bytes=0.4, total=8.0)
BOTH = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


def work_of(number: int = 0, *, stream: bool = False, **fields: Any) -> Work:
    asked = {"max_output_tokens": 40, **fields}
    return work(f"prompt-{number}", model="chat-large", stream=stream, fields=asked)


@dataclass(frozen=True, slots=True)
class Called:
    results: list[CallResult]
    served: Any


async def _calls(server: Running, works: list[Work], limits: CallLimits) -> list[CallResult]:
    client = ProviderClient(
        base_url=f"{server.url}/openai/v1",
        adapter=OpenAI(ProviderSettings()),
        limits=limits,
        credential=Key({}),
        models={"chat-large": ServedModel(name="gpt-5")},
        trace_headers=True,
    )
    try:
        prepared = [await client.prepare(work) for work in works]
        return list(await asyncio.gather(*(client.call(each, 1) for each in prepared)))
    finally:
        await client.close()


def call(*works: Work, limits: CallLimits = LONG, **cloud: Any) -> Called:
    """Call with these works at the same time, each once."""

    async def main() -> Called:
        async with running(simulated(**cloud)) as server:
            results = await _calls(server, list(works), limits)
            served = server.server.clouds["openai"].served
            await until(lambda: served.open == 0)
            return Called(results, await server.served(ids="1"))

    return uvloop.run(main())


@BOTH
def test_a_right_answer(*, stream: bool) -> None:
    works = [work_of(number, stream=stream) for number in range(20)]
    called = call(*works, first_token_s=0.02, per_token_s=0.002, spread=0.3)
    texts = set()
    for result in called.results:
        assert result.transport is None
        assert result.status == 200
        answer = result.answer
        assert answer is not None
        assert (answer.usage.output_tokens, answer.finish_reason, answer.refusal) == (
            40,
            "stop",
            None,
        )
        assert answer.usage.input_tokens is not None
        assert 5 < answer.usage.input_tokens < 20
        assert answer.text is not None
        assert answer.text.endswith(".")
        assert result.first_token_s is not None
        assert (
            0 < result.first_token_s <= result.seconds + 0.002
        )  # uvloop counts whole milliseconds
        texts.add(answer.text)
    assert len(texts) == 20
    assert called.served["answered"] == 20
    assert called.served["by_id"] == {work.id: {"begun": 1, "answered": 1} for work in works}


def test_the_first_token_of_a_stream_comes_before_its_last() -> None:
    called = call(work_of(stream=True), first_token_s=0.05, per_token_s=0.01)
    result = called.results[0]
    assert result.first_token_s is not None
    assert 0.05 <= result.first_token_s < result.seconds - 0.2


@BOTH
@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"hangs": 1.0}, Transport.FIRST_BYTE_TIMEOUT),
        ({"outages": [{"to_s": 60}], "outage_as": "hang"}, Transport.FIRST_BYTE_TIMEOUT),
        ({"cuts": 1.0}, Transport.CUT),
        ({"outages": [{"to_s": 60}], "outage_as": "cut"}, Transport.CUT),
        ({"malformed": 1.0}, Transport.MALFORMED),
        ({"slow": 1.0, "slow_gap_s": 2.0}, Transport.BETWEEN_BYTES_TIMEOUT),
    ],
    ids=["hang", "outage-hang", "cut", "outage-cut", "malformed", "slow"],
)
def test_a_broken_call_has_its_name(
    fault: dict[str, Any], expected: Transport, *, stream: bool
) -> None:
    works = [work_of(number, stream=stream) for number in range(8)]
    # Where no time-out is expected, none may come from a machine that is busy.
    limits = SHORT if expected.value.endswith("timeout") else LONG
    called = call(*works, limits=limits, faults=fault)
    assert {result.transport for result in called.results} == {expected}
    assert all(result.answer is None and not result.expired for result in called.results)
    assert called.served["answered"] == 0
    assert all(calls["begun"] == 1 for calls in called.served["by_id"].values())


def test_bytes_that_come_but_too_slowly_meet_the_total_bound() -> None:
    limits = CallLimits(connect=2.0, first_byte=1.0, between_bytes=0.9, total=1.2)
    called = call(work_of(), limits=limits, faults={"slow": 1.0, "slow_gap_s": 0.1})
    assert called.results[0].transport is Transport.TOTAL_TIMEOUT


@BOTH
def test_slow_bytes_are_a_right_answer_for_who_waits(*, stream: bool) -> None:
    called = call(work_of(stream=stream), faults={"slow": 1.0, "slow_gap_s": 0.001})
    answer = called.results[0].answer
    assert answer is not None
    assert answer.usage.output_tokens == 40
    assert called.served["outcomes"] == {"slow": 1}
    assert called.served["answered"] == 1


def test_an_answer_cut_in_the_middle_is_no_answer() -> None:
    works = [work_of(number, stream=number % 2 == 0) for number in range(40)]
    called = call(*works, faults={"cut_streams": 1.0})
    for one, result in zip(works, called.results, strict=True):
        expected = Transport.STREAM_CUT if one.stream else Transport.CUT
        assert (result.answer, result.transport) == (None, expected)
    assert called.served["answered"] == 0


@BOTH
@pytest.mark.parametrize(
    ("fault", "status", "code", "action"),
    [
        ({"rate_limited": 1.0}, 429, "rate_limit_exceeded", Action.RETRY),
        ({"server_errors": 1.0}, 500, "server_error", Action.RETRY),
        ({"server_errors": 1.0, "server_error_status": 502}, 502, "server_error", Action.RETRY),
        ({"outages": [{"to_s": 60}]}, 503, "server_is_overloaded", Action.RETRY),
        ({"refused": 1.0}, 400, "content_filter", Action.REFUSED),
        ({"too_long": 1.0}, 400, "context_length_exceeded", Action.MOVE),
        ({"stream_errors": 1.0}, 200, "server_error", Action.MOVE),
    ],
    ids=["429", "500", "502", "outage", "refused", "too-long", "in-the-answer"],
)
def test_an_error_keeps_its_status_and_code(
    fault: dict[str, Any], status: int, code: str | None, action: Action, *, stream: bool
) -> None:
    called = call(work_of(stream=stream), faults={**fault, "retry_after_s": 0.25})
    result = called.results[0]
    assert (result.answer, result.transport) == (None, None)
    assert (result.status, result.code) == (status, code)
    assert result.message
    assert result.retry_after_s == (0.25 if status == 429 else None)
    assert verdict(result.status, result.code).action is action


@BOTH
def test_a_filtered_answer_is_a_refusal(*, stream: bool) -> None:
    called = call(work_of(stream=stream), faults={"filtered": 1.0})
    answer = called.results[0].answer
    assert answer is not None
    assert (answer.finish_reason, answer.refusal) == ("content_filter", "answer_filtered")


def test_a_full_queue_asks_to_come_back() -> None:
    works = [work_of(number) for number in range(6)]
    called = call(*works, slots=1, queue=1, first_token_s=0.2)
    turned = [result for result in called.results if result.answer is None]
    assert len(turned) == 4
    assert {(result.status, result.code) for result in turned} == {(429, "rate_limit_exceeded")}
    assert all(result.retry_after_s for result in turned)
    assert called.served["statuses"] == {"200": 2, "429": 4}


def test_a_connection_serves_on_after_an_error() -> None:
    async def main() -> None:
        settings = simulated(faults={"server_errors": 0.5})
        async with running(settings) as server:
            results = []
            for number in range(30):
                results += await _calls(server, [work_of(number)], LONG)
            answered = sum(result.answer is not None for result in results)
            assert 4 < answered < 26
            assert {result.status for result in results} == {200, 500}

    uvloop.run(main())


def test_the_same_seed_meets_the_same_faults_whatever_the_order() -> None:
    faults = {"cuts": 0.2, "rate_limited": 0.2, "malformed": 0.2}
    works = [work_of(number) for number in range(60)]

    def fates(order: list[Work]) -> dict[str, tuple[int | None, Transport | None]]:
        results = call(*order, faults=faults).results
        return {
            work.id: (result.status, result.transport)
            for work, result in zip(order, results, strict=True)
        }

    met = fates(works)
    assert met == fates(works[::-1])
    assert len(set(met.values())) == 4
