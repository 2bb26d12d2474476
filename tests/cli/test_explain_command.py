"""`weighbridge explain` on a real broker: for a prompt of the log, and for one not sent."""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from broker.records.completion import Failure
from broker.records.not_routed import NotRouted
from broker.records.providers import ProviderState, encode_state
from broker.records.tenants import Charged, Entry, encode_entry
from broker.records.times import from_rfc3339
from broker.settings import Settings
from broker.story.log_reader import LogReader
from broker.story.spans import Span
from tests.cli.running import run
from tests.story.seeding import Seeder, completion_of, small, step, work_of

NOTES: tuple[dict[str, Any], ...] = (
    {"provider": "azure", "standing": "able", "wait_s": 9.1, "time_s": 11.0, "lost": "over_limit"},
    {
        "provider": "google",
        "standing": "able",
        "wait_s": 0.4,
        "time_s": 2.25,
        "late": 1.5,
        "usd": 0.0012,
    },
)
AGAIN: tuple[dict[str, Any], ...] = (
    {"provider": "coreweave", "standing": "able", "wait_s": 0.0},
    {"provider": "google", "standing": "out", "wait_s": 0.0, "lost": "tried", "why": "x [y]"},
)


def states(seeder: Seeder, waiting: Mapping[str, int]) -> None:
    """A worker of each provider says that so much waits for it."""
    now = time.time()
    for name, weight in waiting.items():
        state = ProviderState(
            name,
            "0",
            now + 60,  # not old however long the commands take
            "closed",
            64,
            64,
            5,
            weight,
            1_000.0,
            {},
            {},
            waiting_weight_by_lane={"light": weight},
            calls_take={"": (0.5, 0.01)},
        )
        seeder.write(seeder.topics.providers, encode_state(state), 0, key=state.key)
    seeder.flush()


def ends_of(seeder: Seeder) -> list[Span]:
    """Where every topic ends."""
    topics = seeder.topics
    names = [topics.prompts, topics.completions, topics.dead_letters, topics.calls]
    names += [topics.tenants, topics.tenant_totals, topics.providers, topics.control]
    names += [topics.work(provider) for provider in seeder.settings.providers]
    with LogReader(seeder.settings) as reader:
        return [span for name in names for span in reader.spans(name)]


@pytest.fixture
def seeder(settings: Settings) -> Seeder:
    return Seeder(small(settings))


def test_each_choice_of_a_prompt_is_told_with_what_was_known_of_all(seeder: Seeder) -> None:
    seeder.prompt("p1")
    seeder.flush()
    now = time.time()
    first = replace(step("google", "azure waits", now), code="overflow", candidates=NOTES)
    second = replace(step("coreweave", "down", now + 1), code="failed", candidates=AGAIN)
    seeder.work(work_of("p1", now, first))
    seeder.work(work_of("p1", now, first, second))
    seeder.completion(completion_of("p1", now))
    seeder.flush()
    found = run(seeder.settings, "explain", "p1", "--json").json()
    assert [one["event"] for one in found["choices"]] == ["weighed", "routed", "moved"]
    assert found["choices"][1]["candidates"] == list(NOTES)
    assert (found["choices"][1]["code"], found["choices"][2]["code"]) == ("overflow", "failed")
    told = run(seeder.settings, "explain", "p1").out
    assert "over_limit" in told
    assert "tried: x [y]" in told
    assert "0.001200" in told
    story = run(seeder.settings, "trace", "p1").out
    assert "azure able, waits 9.1 s, done in 11.0 s: over_limit" in story
    assert "google able, waits 0.4 s, done in 2.2 s (x1.50), 0.001200 USD: chosen" in story


def test_what_nobody_may_take_or_a_limit_keeps_out_is_told_with_its_figures(
    seeder: Seeder,
) -> None:
    now = time.time()
    for name in ("dear", "waited", "spent", "unread"):
        seeder.prompt(name)
    charged = Charged(0, now, 306, 0.25)
    first = step("azure", "azure waits 0.1 s", now)
    work = work_of("waited", now, first, charged=charged, not_before=now + 12)
    seeder.work(work)
    dear = NotRouted(
        "over_price",
        "azure costs about 0.250000 USD, over 0.1",
        ({"provider": "azure", "standing": "able", "wait_s": 0.0, "lost": "over_price"},),
        expected_output_tokens=300,
        expected_by="prior",
    )
    used = {"period": "day", "dimension": "usd", "limit": 2.0, "used": 1.9, "asked": 0.2}
    spent = NotRouted("budget_exhausted", "1.9 of 2 US dollars a day are used", limit=used)
    ends = {
        "dear": Failure("routing", "over_price", "Nobody can take it.", not_routed=dear),
        "spent": Failure("limit", "budget_exhausted", "Spent.", None, now + 60, spent),
        "unread": Failure("invalid_request", "invalid_json", "No JSON."),
    }
    for name, error in ends.items():
        end = completion_of(name, now, 9_000.0, status="failed", route=(), provider="", error=error)
        seeder.completion(end)
    seeder.flush()
    found = run(seeder.settings, "explain", "dear", "--json").json()
    assert (found["status"], found["code"]) == ("failed", "over_price")
    weighed, nobody = found["choices"]
    assert (weighed["event"], weighed["expected_by"], weighed["weight"]) == (
        *("weighed", "prior", 1200),
    )
    assert (nobody["event"], nobody["code"]) == ("not_routed", "over_price")
    assert nobody["candidates"] == list(dear.candidates)
    told = run(seeder.settings, "explain", "spent").out
    assert "not let in: 1.9 of 2 US dollars a day are used; a new one may come from" in told
    assert "[budget_exhausted]" in told
    story = run(seeder.settings, "trace", "spent", "--json").json()
    assert [one["event"] for one in story["events"]] == ["accepted", "not_routed", "completed"]
    assert story["events"][1]["limit"] == used
    waited = run(seeder.settings, "explain", "waited").out
    assert "default was charged 1 request, 306 tokens, 0.250000 USD" in waited
    assert "it may not begin for 12.0 s" in waited
    assert "failed, 9,000 ms after it was accepted: invalid_json: No JSON." in (
        run(seeder.settings, "explain", "unread").out
    )
    audit = run(seeder.settings, "audit", "--json").json()
    assert audit["not_routed"] == {"over_price": 1, "budget_exhausted": 1}
    assert audit["losses"] == {"azure": {"over_price": 1}}


def test_limits_of_the_tenant_are_asked_as_they_stand_and_nothing_is_written(
    seeder: Seeder,
) -> None:
    now = time.time()
    states(seeder, dict.fromkeys(("openai", "azure", "google", "coreweave"), 10))
    for number in range(3):
        line = Entry("acme", "charge", 0, now - 20, 1.0, 50.0, 0.0, "p", (0, number))
        seeder.write(seeder.topics.tenants, encode_entry(line), 0, key=b"acme")
    seeder.flush()
    before = ends_of(seeder)

    def ask(limits: str, *more: str) -> Any:
        asked = ("explain", "--text", "Why?", "--tenant", "acme", "--max-output-tokens", "50")
        tenants = f'{{"acme": {{{limits}}}}}'
        return run(seeder.settings, *asked, *more, WEIGHBRIDGE_TENANTS=tenants)

    waits = ask('"requests_per_minute": 3, "max_wait_s": 60', "--json").json()
    assert (waits["verdict"], waits["error"], waits["provider"]) == ("waits", None, "openai")
    (door,) = waits["door"]
    assert from_rfc3339(door["not_before"]) == pytest.approx(now + 40, abs=0.5)
    assert door["charged"]["requests"] == 1
    spent = ask('"tokens_per_day": 160')
    assert "refused at the door: The tenant has reached its limit of 160 tokens a day" in spent.out
    assert "150 of 160 tokens a day are used" in spent.out
    assert "[budget_exhausted]" in spent.out
    assert "were it let in, by overflow to openai" in spent.out
    assert "No classifier runs now" in spent.out
    assert ends_of(seeder) == before


def test_a_prompt_that_is_not_sent_is_weighed_and_routed_by_what_workers_say(
    seeder: Seeder,
) -> None:
    states(seeder, {"openai": 900_000, "azure": 10, "google": 10, "coreweave": 10})
    asked = ("explain", "--text", "Why is the sky blue?", "--max-output-tokens", "50")
    found = run(seeder.settings, *asked, "--json").json()
    assert (found["provider"], found["code"], found["policy"]) == ("azure", "overflow", "overflow")
    assert (found["lane"], found["expected_output_tokens"]) == ("light", 50)
    lost = {one["provider"]: one.get("lost") for one in found["candidates"]}
    assert lost["openai"] == "over_limit"
    assert lost["azure"] is None
    assert lost["google"] == "less_preferred"
    assert found["candidates"][1]["usd"] > 0
    told = run(seeder.settings, *asked, WEIGHBRIDGE_ROUTING__POLICY="fastest").out
    assert "by fastest to" in told
    assert "slower" in told
    expired = run(seeder.settings, *asked, "--timeout", "0").out
    assert "expired: The deadline had passed before the prompt was routed. [deadline_passed]" in (
        expired
    )
    nowhere = run(seeder.settings, *asked, "--max-cost-usd", "0", "--json").json()
    assert (nowhere["provider"], nowhere["code"]) == (None, "over_price")


def test_what_is_no_prompt_or_no_question_is_one_sentence(seeder: Seeder) -> None:
    bad = run(seeder.settings, "explain", "--text", "x", "--model", "nobody-has-it", expect=2)
    assert "It would be refused" in bad.err
    endless = run(seeder.settings, "explain", "--text", "x", "--timeout", "inf", expect=2)
    assert "`timeout_s` is inf, which is no number" in endless.err
    assert "nothing to explain" in run(seeder.settings, "explain", expect=2).err
    assert "nobody" in run(seeder.settings, "explain", "nobody", expect=1).err
    mixed = run(seeder.settings, "explain", "nobody", "--region", "eu", expect=2)
    assert "--region is of a prompt that is not sent" in mixed.err
