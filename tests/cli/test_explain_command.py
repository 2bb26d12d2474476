"""`weighbridge explain` on a real broker: for a prompt of the log, and for one not sent."""

import time
from dataclasses import replace
from typing import Any

import pytest

from broker.records.providers import ProviderState, encode_state
from broker.settings import Settings
from tests.cli.running import run
from tests.story.seeding import Seeder, completion_of, small, step, work_of

NOTES: tuple[dict[str, Any], ...] = (
    {"provider": "azure", "standing": "able", "wait_s": 9.1, "time_s": 11.0, "lost": "over_limit"},
    {"provider": "google", "standing": "able", "wait_s": 0.4, "time_s": 2.25, "usd": 0.0012},
)
AGAIN: tuple[dict[str, Any], ...] = (
    {"provider": "coreweave", "standing": "able", "wait_s": 0.0},
    {"provider": "google", "standing": "out", "wait_s": 0.0, "lost": "tried", "why": "x [y]"},
)


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
    assert "google able, waits 0.4 s, done in 2.2 s, 0.001200 USD: chosen" in story


def test_a_prompt_that_is_not_sent_is_weighed_and_routed_by_what_workers_say(
    seeder: Seeder,
) -> None:
    now = time.time()
    for name, waiting in {"openai": 900_000, "azure": 10, "google": 10, "coreweave": 10}.items():
        state = ProviderState(
            name,
            "0",
            now + 1,
            "closed",
            64,
            64,
            5,
            waiting,
            1_000.0,
            {},
            {},
            waiting_weight_by_lane={"light": waiting},
            calls_take={"": (0.5, 0.01)},
        )  # fmt: skip - four alike
        seeder.write(seeder.topics.providers, encode_state(state), 0, key=state.key)
    seeder.flush()
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
    nowhere = run(seeder.settings, *asked, "--max-cost-usd", "0", "--json").json()
    assert (nowhere["provider"], nowhere["code"]) == (None, "over_price")


def test_what_is_no_prompt_or_no_question_is_one_sentence(seeder: Seeder) -> None:
    bad = run(seeder.settings, "explain", "--text", "x", "--model", "nobody-has-it", expect=2)
    assert "It would be refused" in bad.err
    assert "nothing to explain" in run(seeder.settings, "explain", expect=2).err
    assert "nobody" in run(seeder.settings, "explain", "nobody", expect=1).err
