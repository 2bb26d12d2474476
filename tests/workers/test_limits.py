"""A worker keeps its provider's limits: quotas, pauses that it asks for, credit that is spent."""

import asyncio
import time
from collections import Counter
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from broker.core.breaker import BreakerRules
from broker.records.providers import decode_state, encode_state
from broker.settings.providers import ProviderSettings, ServedModel
from tests.workers import local_provider as says
from tests.workers.building import MODEL, on_loop, partition_of, report, until, work
from tests.workers.test_answering import Running, running
from workers.job import Job, JobState
from workers.reporting import Reporting, Subject

LARGE = "chat-large"
HERE = {"provider": "azure"}
"""The prompt's wish: no other provider may have it."""
BOTH = {MODEL: "gpt-deployed", LARGE: "gpt-large"}


def limited(**given: Any) -> ProviderSettings:
    models = {alias: ServedModel(name=name) for alias, name in BOTH.items()}
    return ProviderSettings(max_in_flight=8, models=models, **given)


def subject_of(worker: Running) -> Subject:
    made = worker.made
    attempts = made.attempts
    return Subject(
        "azure",
        "azure-0",
        made.dispatcher,
        made.breaker,
        attempts.tallies,
        attempts.allowance,
        Counter[Any],
        dict,
    )


class TestQuotas:
    def test_calls_are_spread_over_the_minute_and_none_is_lost(self) -> None:
        async def main() -> None:
            async with running(provider=limited(requests_per_minute=1_200)) as worker:
                began = time.monotonic()
                for n in range(60):
                    worker.read((0, work(f"p{n}", fields=HERE)))
                await until(lambda: len(worker.collector.committed) == 60)
                # 20 a second, from a second of debt on, with half a second at once.
                assert time.monotonic() - began >= 2.5
                assert Counter(one.status for one in worker.completions()) == {"succeeded": 60}
                worker.check_all_free()

        on_loop(main())

    def test_a_limit_of_one_model_does_not_hold_another_up(self) -> None:
        async def main() -> None:
            provider = limited()
            provider.models[MODEL] = ServedModel(name="gpt-deployed", requests_per_minute=1)
            async with running(provider=provider, models=BOTH) as worker:
                for n in range(5):
                    worker.read((0, work(f"s{n}", fields=HERE)))
                    worker.read((0, work(f"l{n}", model=LARGE)))
                await until(lambda: len(worker.completions()) >= 5)
                assert {one.id for one in worker.completions()} >= {f"l{n}" for n in range(5)}
                assert sum(one.id.startswith("s") for one in worker.completions()) <= 1

        on_loop(main())

    def test_a_light_prompt_goes_before_heavy_ones_that_wait_for_tokens(self) -> None:
        async def main() -> None:
            async with running(provider=limited(tokens_per_minute=60_000)) as worker:
                for n in range(5):
                    given = work(f"h{n}", fields=HERE, input_tokens=20_000, weight=20_000)
                    worker.provider.replies[f"h{n}"] = [says.silent()]
                    worker.read((partition_of("heavy"), given))
                await until(lambda: worker.provider.served.total() == 1)
                worker.read((partition_of("light"), work("light", fields=HERE)))
                await until(lambda: "light" in {one.id for one in worker.completions()})
                assert worker.made.dispatcher.waiting["heavy"] >= 3

        on_loop(main())

    def test_what_would_wait_too_long_moves_if_another_provider_can(self) -> None:
        async def main() -> None:
            async with running(provider=limited(requests_per_minute=60)) as worker:
                worker.made.reports["google"] = (report("google"),)
                for n in range(30):
                    worker.read((0, work(f"p{n}")))
                await until(lambda: len(worker.collector.committed) == 30)
                moved = worker.moves()
                assert 20 <= len(moved) <= 29
                assert all("has no quota for" in one.route[-1].reason for one in moved)

        on_loop(main())

    def test_without_another_provider_it_waits(self) -> None:
        async def main() -> None:
            async with running(provider=limited(requests_per_minute=300)) as worker:
                for n in range(10):
                    worker.read((0, work(f"p{n}", fields=HERE)))
                await until(lambda: len(worker.collector.committed) == 10)
                assert not worker.moves()
                assert worker.provider.served.total() == 10

        on_loop(main())

    def test_what_is_lost_or_given_up_holds_nothing(self) -> None:
        async def main() -> None:
            async with running(provider=limited(requests_per_minute=60_000)) as worker:
                worker.provider.reply = says.silent()
                read = worker.read(*((0, work(f"p{n}")) for n in range(4)))
                jobs = [one for one in read if isinstance(one, Job)]
                await until(lambda: worker.provider.served.total() == 4)
                worker.lose([0])
                await until(lambda: not worker.answering.running)
                assert [job.state for job in jobs] == [JobState.GONE] * 4
                assert [job.taken for job in jobs] == [None] * 4

        on_loop(main())


class TestPauses:
    def test_no_call_of_a_model_before_its_retry_after_and_others_go_on(self) -> None:
        async def main() -> None:
            async with running(provider=limited(), models=BOTH) as worker:
                refusal = says.error(429, "rate_limit_exceeded", retry_after_ms="1500")
                worker.provider.replies["first"] = [refusal, says.good()]
                worker.read((0, work("first", fields=HERE)))
                await until(lambda: worker.provider.served["first"] == 1)
                await until(lambda: not worker.answering.running)
                began = time.monotonic()
                same, other = (
                    work(prompt_id, model=model, fields=HERE)
                    for prompt_id, model in (("same", MODEL), ("other", LARGE))
                )
                worker.read((0, same), (0, other))
                await until(lambda: "other" in worker.provider.served)
                assert "same" not in worker.provider.served
                await until(lambda: len(worker.completions()) == 3)
                assert time.monotonic() - began >= 1.3

        on_loop(main())

    def test_too_many_at_once_is_answered_with_fewer_at_once(self) -> None:
        async def main() -> None:
            async with running(slots=8, provider=limited()) as worker:
                crowded = says.error(429, "concurrency_limit")
                for n in range(8):
                    worker.provider.replies[f"p{n}"] = [crowded, says.good()]
                worker.read(*((0, work(f"p{n}")) for n in range(8)))
                await until(lambda: len(worker.completions()) == 8)
                assert worker.made.dispatcher.slots < 8
                assert (
                    worker.made.value(
                        "weighbridge_calls_total", outcome="retry", code="concurrency_limit"
                    )
                    == 8
                )

        on_loop(main())

    def test_the_settings_can_keep_the_calls_at_once_fixed(self) -> None:
        async def main() -> None:
            async with running(slots=8, provider=limited(adaptive=False)) as worker:
                worker.provider.replies["p"] = [says.error(429, "concurrency_limit"), says.good()]
                worker.read((0, work("p")))
                await until(lambda: len(worker.completions()) == 1)
                assert worker.made.dispatcher.slots == 8

        on_loop(main())


class TestSpentCredit:
    def test_the_provider_is_stopped_its_work_moves_and_the_operator_is_told_once(self) -> None:
        async def main() -> None:
            rules = BreakerRules(spent_s=0.4, spent_cap_s=1.0)
            async with running(breaker=rules, provider=limited()) as worker:
                worker.made.reports["google"] = (report("google"),)
                worker.provider.reply = says.error(429, "insufficient_quota")
                reporting = Reporting(subject_of(worker), lambda _state: None)
                for n in range(20):
                    worker.read((0, work(f"p{n}")))
                await until(lambda: len(worker.moves()) == 20)
                state = reporting.state(time.time())
                assert (state.breaker, state.stopped) == ("open", "spent")
                assert worker.provider.served.total() <= 8
                # Probed again, later and later, until somebody has paid.
                for n in range(20, 24):
                    worker.read((0, work(f"p{n}")))
                await until(lambda: len(worker.moves()) == 24)
                await asyncio.sleep(0.5)
                worker.provider.reply = says.good()
                done = 0
                while worker.made.breaker.is_spent:
                    worker.made.reports.clear()
                    worker.read((0, work(f"q{done}")))
                    done += 1
                    assert done < 100
                    await asyncio.sleep(0.1)
                assert worker.made.value("weighbridge_provider_spent_total") == 1

        with capture_logs() as lines:
            on_loop(main())
        assert [line["event"] for line in lines].count("provider_spent") == 1


class TestWhatAWorkerSaysOfItself:
    def test_speed_limits_and_first_tokens(self) -> None:
        async def main() -> None:
            provider = limited(requests_per_minute=6_000, tokens_per_minute=1_000_000)
            async with running(provider=provider) as worker:
                worker.read(*((0, work(f"p{n}")) for n in range(20)))
                await until(lambda: len(worker.completions()) == 20)
                reporting = Reporting(subject_of(worker), lambda _state: None)
                state = reporting.state(time.time())
                assert state.most_slots == 8
                assert state.requests_left == 6_000 - 20
                assert state.tokens_left == 1_000_000 - 20 * 10
                assert state.first_token_p50_s is not None
                assert state.first_token_p95_s is not None
                assert 0 <= state.first_token_p50_s <= state.first_token_p95_s < 5
                assert state.output_tokens_s == pytest.approx(8.0)
                assert state.quota_base == 1.0
                # No more than the quota allows, whatever its slots could do.
                assert state.speed is not None
                assert 0 < state.speed <= 1.01 * 100 * 100
                told = decode_state(encode_state(state))
                assert (told.requests_left, told.stopped) == (state.requests_left, None)

        on_loop(main())

    def test_a_record_of_an_older_or_a_newer_program_is_read(self) -> None:
        known = orjson.loads(encode_state(report("azure")))
        old = {name: known[name] for name in known if name not in NEW}
        assert decode_state(orjson.dumps(old)).requests_left is None
        assert decode_state(orjson.dumps({**known, "of_tomorrow": 1})).worker == "azure-0"


NEW = (
    *("most_slots", "output_tokens_s", "first_token_p50_s", "first_token_p95_s", "requests_left"),
    *("tokens_left", "quota_base", "quota_claimed", "stopped"),
)
