"""What becomes of a prompt at the door, as records: fabricated prompts, no Kafka."""

from typing import Any

import orjson
import pytest

from broker.classifier.decide import Decider, Outcome
from broker.classifier.router import Router
from broker.classifier.rules import rules_of
from broker.classifier.tenant_books import TenantBooks
from broker.classifier.tenant_costs import expected_costs
from broker.classifier.tenant_door import TenantDoor
from broker.classifier.tokens import token_counter
from broker.classifier.weighing import Weigher
from broker.core.dedupe import DedupeWindow, home_partition
from broker.core.provider_view import ProviderView
from broker.log.topic_names import TopicNames
from broker.log.topic_shapes import Shapes
from broker.records.completion import Completion, decode_completion
from broker.records.incoming import InputRecord
from broker.records.tenants import Entry, decode_entry
from broker.records.times import to_rfc3339
from broker.records.work import Work, decode_work
from broker.settings import load_settings

NOW = 1_795_000_000.0
MIDNIGHT = 1_795_046_400.0
PARTITIONS = 12
NAMES = TopicNames("llm")
COUNT = token_counter(32_768)


class Bench:
    """One classifier with all partitions, in which `acme` has these limits."""

    def __init__(self, providers: dict[str, Any] | None = None, **acme: Any) -> None:
        given: dict[str, Any] = {} if providers is None else {"providers": providers}
        settings = load_settings(tenants={"acme": acme}, **given)
        topics = [NAMES.prompts, NAMES.completions, NAMES.dead_letters]
        topics += [NAMES.work(provider) for provider in settings.providers]
        rules = rules_of(settings, Shapes(dict.fromkeys(topics, PARTITIONS), {}))
        self.books = TenantBooks(PARTITIONS, settings.tenant_terms())
        self.books.owns(frozenset(range(PARTITIONS)))
        self.unpriced: list[str] = []
        costs = expected_costs(settings, self.unpriced.append)
        self.decider = Decider(
            rules,
            Weigher(rules, COUNT),
            Router(rules, ProviderView(NOW)),
            TenantDoor(NAMES.tenants, self.books, costs),
        )
        self.windows = {p: DedupeWindow(3600.0, 1000) for p in range(PARTITIONS)}
        self._number = 0

    def ask(self, tenant: str = "acme", now: float = NOW, **fields: Any) -> Outcome:
        self._number += 1
        identity = f"p-{self._number}"
        value = orjson.dumps({"id": identity, "tenant": tenant, "prompt": "Why?", **fields})
        partition = home_partition(identity, PARTITIONS)
        record = InputRecord(NAMES.prompts, partition, self._number, now, b"k", value, ())
        return self.decider.decide(record, self.windows[partition], now)


def work_of(outcome: Outcome) -> Work:
    assert outcome.verdict == "routed"
    return decode_work(outcome.outputs[0].value)


def charge_of(outcome: Outcome) -> Entry:
    _, charge = outcome.outputs
    assert (charge.topic, charge.partition, charge.key) == (NAMES.tenants, 0, b"acme")
    return decode_entry(charge.value)


def end_of(outcome: Outcome) -> Completion:
    assert outcome.verdict == "failed"
    return decode_completion(outcome.outputs[0].value)


def test_what_is_charged_stands_in_the_ledger_and_in_the_work_and_starts_at_once() -> None:
    outcome = Bench(requests_per_day=5, usd_per_month=1).ask(max_output_tokens=100)
    work, charge = work_of(outcome), charge_of(outcome)
    assert work.charged is not None
    assert work.not_before is None
    assert charge.kind == "charge"
    assert charge.tokens == work.input_tokens + 100 == work.charged.tokens
    assert charge.usd == work.charged.usd > 0
    assert charge.source == (work.source.partition, work.source.offset)
    assert (charge.partition, charge.at) == (work.charged.partition, work.charged.at)


def test_the_dearest_who_could_answer_is_charged_and_a_pin_is_believed() -> None:
    dear, cheap = (
        {"name": "m", "usd_per_million_input": price, "usd_per_million_output": price}
        for price in (9.0, 1.0)
    )
    bench = Bench(
        {"openai": {"models": {"chat-small": cheap}}, "azure": {"models": {"chat-small": dear}}},
        usd_per_day=1,
    )
    either = charge_of(bench.ask(max_output_tokens=1_000))
    pinned = charge_of(bench.ask(max_output_tokens=1_000, provider="openai"))
    assert either.usd == pytest.approx(9 * pinned.usd)


def test_a_model_without_a_price_counts_no_dollars_and_that_is_told_once() -> None:
    bench = Bench({"openai": {"models": {"chat-small": "nobodys-model"}}}, usd_per_day=0.01)
    for _ in range(5):
        assert charge_of(bench.ask(max_output_tokens=10_000)).usd == 0
    assert bench.unpriced == ["chat-small"]


def test_a_tenant_without_limits_is_not_in_the_ledger() -> None:
    outcome = Bench(requests_per_day=1).ask("someone-else")
    assert len(outcome.outputs) == 1
    assert work_of(outcome).charged is None


def test_over_a_rate_a_prompt_waits_and_says_until_when() -> None:
    bench = Bench(requests_per_minute=2, max_wait_s=70)
    assert [work_of(bench.ask()).not_before for _ in range(2)] == [None, None]
    outcome = bench.ask()
    work = work_of(outcome)
    assert work.not_before is not None
    assert NOW + 60 <= work.not_before <= NOW + 60.3
    assert charge_of(outcome).at == work.not_before


@pytest.mark.parametrize(
    ("limits", "fields"),
    [({"max_wait_s": 30}, {}), ({"max_wait_s": 70}, {"timeout_s": 20})],
    ids=["its wait is bounded", "its deadline comes first"],
)
def test_over_a_rate_for_too_long_it_is_refused_with_when_to_try_again(
    limits: dict[str, Any], fields: dict[str, Any]
) -> None:
    bench = Bench(requests_per_minute=2, **limits)
    for _ in range(2):
        bench.ask()
    outcome = bench.ask(**fields)
    error = end_of(outcome).error
    assert error is not None
    assert (error.type, error.code) == ("limit", "rate_limited")
    assert error.retry_at is not None
    assert NOW + 60 <= error.retry_at <= NOW + 60.3
    assert to_rfc3339(error.retry_at) in error.message
    assert error.not_routed is not None
    figures = dict(error.not_routed.limit or {})
    latest = NOW + fields.get("timeout_s", limits["max_wait_s"])
    assert figures.pop("latest") == to_rfc3339(latest)
    assert figures == {
        "period": "minute",
        "dimension": "requests",
        "limit": 2.0,
        "used": 2.0,
        "asked": 1.0,
    }
    told = orjson.loads(outcome.outputs[0].value or b"")["error"]
    assert told["retry_at"] == to_rfc3339(error.retry_at)
    assert work_of(bench.ask(now=error.retry_at + 0.01)).not_before is None


def test_over_a_budget_it_fails_until_the_day_is_over() -> None:
    bench = Bench(requests_per_day=2)
    for _ in range(2):
        bench.ask()
    error = end_of(bench.ask()).error
    assert error is not None
    assert (error.code, error.retry_at) == ("budget_exhausted", MIDNIGHT)
    assert "2 requests a day" in error.message
    assert error.not_routed is not None
    assert error.not_routed.reason == "2 of 2 requests a day are used, and it asks for 1"
    assert work_of(bench.ask(now=MIDNIGHT)).not_before is None


def test_what_alone_is_more_than_a_limit_is_never_told_to_try_again() -> None:
    for bench in (Bench(tokens_per_minute=50), Bench(tokens_per_month=50)):
        outcome = bench.ask(max_output_tokens=100)
        error = end_of(outcome).error
        assert error is not None
        assert error.retry_at is None
        assert b"retry_at" not in (outcome.outputs[0].value or b"")


def test_what_nobody_can_take_is_not_charged() -> None:
    bench = Bench(requests_per_day=1)
    failed = bench.ask(provider="coreweave", model="picture", kind="image")
    assert end_of(failed).error is not None
    assert {output.topic for output in failed.outputs} == {NAMES.completions, NAMES.dead_letters}
    assert bench.ask().verdict == "routed"
