"""What a prompt used beyond its charge, as the line that is committed with its end."""

import time

import pytest

from broker.core.prices import NOT_KNOWN, Cost, Prices
from broker.log.units import Unit
from broker.records.completion import Failure, encode_completion
from broker.records.tenants import Charged, Entry, decode_entry
from broker.records.usage import Usage
from broker.records.work import decode_work, encode_work
from tests.workers.building import MODEL, TOPICS, deployment, job, work
from workers.endings import Endings
from workers.job import Job
from workers.providers.dialect import Answer

NOW = 1_790_000_000.0
CHARGED = Charged(5, NOW - 9, 300, 0.004)


def endings() -> Endings:
    return Endings(deployment(), {MODEL: Prices(1.0, 2.0)}, {MODEL: "gpt-deployed"})


def line(unit: Unit) -> Entry:
    _, output = unit.outputs
    assert (output.topic, output.partition, output.key) == (TOPICS.tenants, 0, b"acme")
    return decode_entry(output.value)


def answered(given: Job, tokens: tuple[int, int] = (7, 50)) -> Unit:
    made = endings()
    answer = Answer("Yes.", {"id": "x"}, Usage(*tokens), "stop")
    given.calls, given.cost = 1, Cost(0.001)
    done = made.completion(given, "succeeded", NOW, answer=answer)
    return made.completed(given, done, encode_completion(done))


def failed(given: Job) -> Unit:
    made = endings()
    done = made.completion(given, "failed", NOW, error=Failure("internal", "x", "It failed."))
    return made.completed(given, done, encode_completion(done))


def limited() -> Job:
    return job(work(tenant="acme", charged=CHARGED))


def test_what_was_used_less_is_given_back_to_the_time_and_partition_of_the_charge() -> None:
    found = line(answered(limited()))
    assert (found.kind, found.partition, found.at) == ("correction", 5, NOW - 9)
    assert (found.requests, found.tokens) == (0, 57 - 300)
    assert found.usd == pytest.approx(0.001 - 0.004)
    assert found.source is None


def test_what_was_used_more_is_charged_too() -> None:
    assert line(answered(limited(), (7, 500))).tokens == 507 - 300


def test_what_no_provider_was_asked_for_used_nothing() -> None:
    found = line(failed(limited()))
    assert (found.tokens, found.usd) == (-300, -0.004)


def test_a_call_of_unknown_cost_stays_charged() -> None:
    given = limited()
    given.calls, given.cost = 1, NOT_KNOWN
    assert line(failed(given)).usd == 0


def test_a_charge_that_was_right_needs_no_line() -> None:
    given = job(work(tenant="acme", charged=Charged(5, NOW, 57, 0.001)))
    assert len(answered(given).outputs) == 1


def test_a_tenant_without_limits_has_no_line() -> None:
    assert len(answered(job(work(tenant="acme"))).outputs) == 1


def test_a_charge_goes_with_the_work_wherever_it_moves() -> None:
    given = work(tenant="acme", charged=CHARGED, not_before=time.time())
    moved = given.moved(given.route[0], attempt=1)
    assert decode_work(encode_work(moved)).charged == CHARGED
    assert decode_work(encode_work(given)).not_before == pytest.approx(given.not_before, abs=1e-3)
