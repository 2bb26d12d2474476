"""What each policy chooses, and what is said of those that lost."""

from collections import Counter
from dataclasses import replace
from typing import Any
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.candidates import Candidate, Standing
from broker.core.lanes import LANES
from broker.core.policies import Policy
from broker.core.route_reasons import Loss, Reason
from broker.core.routing import Decision, Request, RoutingRules, choose

RULES = RoutingRules({"light": 4.0, "medium": 2.0, "heavy": 1.0, "batch": 60.0})
ASKED = Request("light", 900, model="chat", output_tokens=100)
USD = {"a": 0.004, "b": 0.001, "c": 0.001, "d": None}


def able(name: str, wait_s: float = 0.0, first: float = 0.5, each: float = 0.01) -> Candidate:
    calls = {"chat": (first, each)}
    return Candidate(name, Standing.ABLE, wait_s, age_s=0.1, calls=calls)


def decided(policy: Policy, *shown: Candidate, **asked: Any) -> Decision:
    chosen = choose(replace(ASKED, **asked), shown, RULES, policy)
    assert isinstance(chosen, Decision)
    return chosen


def lost(decision: Decision) -> dict[str, str]:
    return {note["provider"]: note.get("lost", "chosen") for note in decision.notes}


class TestFastest:
    def test_a_wait_may_be_worth_it_where_tokens_come_quicker(self) -> None:
        slow, quick = able("a", 0.0, 0.5, 0.1), able("b", 3.0, 0.5, 0.01)
        decision = decided(Policy("fastest"), slow, quick)
        assert (decision.provider, decision.reason) == ("b", Reason.FASTEST)
        assert decision.sentence == "b would be done in 4.5 s, the soonest"
        assert lost(decision) == {"a": "slower", "b": "chosen"}
        assert decided(Policy("fastest"), slow, quick, output_tokens=1).provider == "a"

    def test_where_chance_passed_over_a_sooner_one_it_is_not_called_slower(self) -> None:
        shown = able("a", 10.0), able("b", 10.05)
        told = {
            lost(decision)[other]
            for decision in (
                decided(Policy("fastest"), *shown, luck=crc32(b"%d" % n) / 2**32) for n in range(50)
            )
            for other in "ab"
            if other != decision.provider
        }
        assert told == {"slower", "not_drawn"}

    def test_where_nothing_is_known_of_both_preference_decides(self) -> None:
        shown = (Candidate("a", Standing.ABLE, age_s=0.1), Candidate("b", Standing.ABLE, age_s=0.1))
        assert lost(decided(Policy("fastest"), *shown)) == {"a": "chosen", "b": "less_preferred"}

    def test_what_was_wrong_lately_counts(self) -> None:
        late = replace(able("a"), late=3.0)
        assert decided(Policy("fastest"), late, able("b", 1.0)).provider == "b"

    def test_one_that_never_answered_is_neither_free_nor_out(self) -> None:
        unknown = Candidate("b", Standing.ABLE, age_s=0.1)
        assert decided(Policy("fastest"), able("a", 1.0), unknown).provider == "b"
        busy = replace(unknown, wait_s=2.0)
        assert decided(Policy("fastest"), able("a", 1.0), busy).provider == "a"

    def test_one_prompt_tries_one_that_may_be_back(self) -> None:
        back = Candidate("b", Standing.PROBING, probe_in_s=0.0, probe_free=True)
        assert decided(Policy("fastest"), able("a"), back).reason is Reason.PROBE
        tried = replace(back, probe_free=False)
        assert decided(Policy("fastest"), able("a"), tried).provider == "a"

    def test_chance_never_prefers_one_that_is_plainly_slower(self) -> None:
        went = Counter(
            decided(Policy("fastest"), able("a"), able("b", 1.0), luck=n / 997).provider
            for n in range(997)
        )
        assert went == {"a": 997}


class TestCheapest:
    def test_the_cheapest_that_has_room_and_at_one_price_the_sooner(self) -> None:
        decision = decided(Policy("cheapest"), able("a"), able("b", 2.0), able("c"), usd=USD)
        assert (decision.provider, decision.reason) == ("c", Reason.CHEAPEST)
        assert decision.sentence == "c costs about 0.001000 USD, waits 0.0 s"
        assert lost(decision) == {"a": "dearer", "b": "slower", "c": "chosen"}

    def test_over_the_limit_the_next_price_takes_it_and_over_all_the_least_wait(self) -> None:
        decision = decided(Policy("cheapest"), able("a"), able("b", 9), able("c", 5), usd=USD)
        assert (decision.provider, lost(decision)["b"]) == ("a", "over_limit")
        over = decided(Policy("cheapest"), able("a", 7), able("b", 9), able("c", 8), usd=USD)
        assert (over.provider, over.reason) == ("a", Reason.LEAST_WAIT)

    def test_a_price_nobody_knows_comes_last(self) -> None:
        assert decided(Policy("cheapest"), able("d"), able("a"), usd=USD).provider == "a"


class TestWeighted:
    def test_each_gets_its_part_over_many_prompts(self) -> None:
        policy = Policy("weighted", weights={"a": 1, "b": 2, "c": 5})
        shown = (able("a"), able("b"), able("c"), able("d"))
        lucks = [crc32(f"prompt-{n}".encode()) / 2**32 for n in range(8_000)]
        went = Counter(decided(policy, *shown, luck=luck).provider for luck in lucks)
        assert went["a"] == pytest.approx(1_000, rel=0.1)
        assert went["b"] == pytest.approx(2_000, rel=0.1)
        assert went["c"] == pytest.approx(5_000, rel=0.05)
        assert not went["d"]

    def test_one_without_a_weight_takes_what_nobody_else_can(self) -> None:
        policy = Policy("weighted", weights={"a": 1})
        decision = decided(policy, able("a", 9.0), able("b"))
        assert decision.provider == "b"
        assert lost(decision)["a"] == "over_limit"

    def test_a_policy_that_could_choose_nobody_is_refused(self) -> None:
        with pytest.raises(ValueError, match="weighted"):
            Policy("weighted", weights={"a": 0.0})
        with pytest.raises(ValueError, match="pinned"):
            Policy("pinned")


def test_a_pinning_policy_gives_way_to_the_prompts_own_pin() -> None:
    policy = Policy("pinned", to="b")
    decision = decided(policy, able("a"), able("b", 99.0))
    assert (decision.provider, decision.reason) == ("b", Reason.PINNED)
    assert decision.sentence == "pinned to b by the settings"
    assert lost(decision)["a"] == "pinned_elsewhere"
    assert decided(policy, able("a"), able("b"), pin="a").provider == "a"


class TestDeadlines:
    def test_one_that_would_be_late_is_passed_over(self) -> None:
        shown = (able("a", 3.0), able("b", 1.0))
        decision = decided(Policy(), *shown, left_s=4.0)
        assert (decision.provider, decision.reason) == ("b", Reason.DEADLINE)
        assert "a waits 3.0 s and would be late for its deadline" in decision.sentence
        assert lost(decision) == {"a": "late", "b": "chosen"}
        assert decided(Policy(), *shown, left_s=9.0).provider == "a"

    def test_when_all_are_late_the_least_late_gets_it(self) -> None:
        decision = decided(Policy(), able("a", 3.0), able("b", 2.0), left_s=1.0)
        assert (decision.provider, decision.reason) == ("b", Reason.LEAST_LATE)

    def test_a_cheap_one_that_would_be_late_saves_nothing(self) -> None:
        decision = decided(Policy("cheapest"), able("a"), able("b", 3.0), usd=USD, left_s=2.0)
        assert decision.provider == "a"

    @given(
        st.lists(st.tuples(st.floats(0, 20), st.floats(0.1, 5)), min_size=1, max_size=4),
        st.floats(0.1, 30),
        st.sampled_from(["overflow", "fastest", "cheapest"]),
        st.sampled_from(LANES),
    )
    def test_it_is_never_late_where_another_would_not_be(
        self, states: list[tuple[float, float]], left_s: float, name: Any, lane: Any
    ) -> None:
        shown = [
            able(provider, wait_s, first)
            for provider, (wait_s, first) in zip("abcd", states, strict=False)
        ]
        decision = decided(Policy(name), *shown, left_s=left_s, lane=lane, usd=USD)
        times = {one.provider: ASKED.time_s(one) or 0.0 for one in shown}
        if any(time_s <= left_s for time_s in times.values()):
            assert times[decision.provider] <= left_s
        else:
            assert decision.reason is Reason.LEAST_LATE
            assert times[decision.provider] == min(times.values())


def test_a_decision_tells_time_price_and_loss_of_each() -> None:
    out = Candidate("c", Standing.OUT, probe_in_s=3.0)
    decision = decided(Policy(), able("a", 1.0), replace(able("b"), late=2.0), out, usd=USD)
    first, second, third = decision.notes
    assert first == {
        "provider": "a",
        "standing": "able",
        "wait_s": 1.0,
        "time_s": 2.5,
        "usd": 0.004,
    }
    assert second == {
        "provider": "b",
        "standing": "able",
        "wait_s": 0.0,
        "time_s": 3.0,
        "late": 2.0,
        "usd": 0.001,
        "lost": "less_preferred",
    }
    assert (third["lost"], third["usd"], third["standing"]) == ("breaker", 0.001, "out")


def test_every_word_of_a_loss_stands_in_the_closed_list() -> None:
    assert {loss.value for loss in Loss} == {loss.value.lower() for loss in Loss}
    assert len({*Loss}) == 17
