"""Who cannot be asked is never chosen, and its being left out is said where it mattered."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.capabilities import lacking
from broker.core.lanes import LANES
from broker.core.needs import NEEDS
from broker.core.provider_view import Candidate, Standing
from broker.core.route_reasons import Bar, Loss
from broker.core.routing import (
    Decision,
    NoDecision,
    NoReason,
    Reason,
    Request,
    RoutingRules,
    choose,
)
from broker.records.prompt import Offer

RULES = RoutingRules(dict.fromkeys(LANES, 1.0))
NAMES = ("a", "b", "c")
OFFERS = {
    "a": Offer(frozenset({"tools", "n"})),
    "b": Offer(context_tokens=1_000),
    "c": Offer(frozenset({"stream"}), 8_000),
}


def able(name: str, wait_s: float = 0.0) -> Candidate:
    return Candidate(name, Standing.ABLE, wait_s=wait_s, age_s=0.1)


def barred(lacks: dict[str, str]) -> dict[str, Bar]:
    return {name: Bar(Loss.LACKS, words) for name, words in lacks.items()}


def words(found: dict[str, Bar]) -> dict[str, str]:
    return {name: bar.words for name, bar in found.items()}


def chosen(lacks: dict[str, str], *shown: Candidate, **given: object) -> Decision | NoDecision:
    return choose(Request("light", 1, barred=barred(lacks), **given), shown, RULES)  # type: ignore[arg-type]  # fields by name


class TestWhoLacksWhat:
    def test_each_reason_is_in_words(self) -> None:
        tools = lacking(NAMES, OFFERS, frozenset({"tools"}), 10)
        assert words(tools) == {"a": "lacks tools"}
        both = words(lacking(NAMES, OFFERS, frozenset({"tools", "n", "stream"}), 10))
        assert both == {"a": "lacks several answers at once and tools", "c": "lacks streams"}

    @pytest.mark.parametrize(("tokens", "left_out"), [(1_000, []), (1_001, ["b"]), (9_000, "bc")])
    def test_a_prompt_that_is_too_long(self, tokens: int, left_out: list[str] | str) -> None:
        found = lacking(NAMES, OFFERS, frozenset(), tokens)
        assert list(found) == list(left_out)
        if tokens == 1_001:
            assert found["b"] == Bar(Loss.TOO_LONG, "holds 1,000 tokens, not 1,001")

    def test_who_says_nothing_can_everything(self) -> None:
        assert lacking(("x",), OFFERS, frozenset(NEEDS), 10**9) == {}


class TestChoosing:
    def test_the_next_one_gets_it_and_the_route_says_why(self) -> None:
        decision = chosen({"a": "lacks tools"}, able("a"), able("b"), able("c"))
        assert isinstance(decision, Decision)
        assert (decision.provider, decision.reason) == ("b", Reason.CAPABLE)
        assert decision.sentence == "a lacks tools; b waits 0.0 s, limit 1 s"

    def test_one_that_would_not_have_got_it_anyway_is_not_named(self) -> None:
        for decision in (
            chosen({"b": "lacks tools"}, able("a"), able("b")),
            chosen({"a": "lacks tools"}, able("a", 9.0), able("b"), able("c")),
        ):
            assert isinstance(decision, Decision)
            assert "lacks" not in decision.sentence
            assert decision.reason is not Reason.CAPABLE

    def test_overflow_among_the_able_stays_overflow(self) -> None:
        decision = chosen({"a": "lacks tools"}, able("a"), able("b", 3.0), able("c"))
        assert isinstance(decision, Decision)
        assert (decision.provider, decision.reason) == ("c", Reason.OVERFLOW)
        assert decision.sentence.startswith("a lacks tools; b waits 3.0 s of 1 s")

    def test_nobody_left_says_who_and_what(self) -> None:
        decision = chosen({"a": "lacks tools", "b": "lacks n"}, able("a"), able("b"))
        assert isinstance(decision, NoDecision)
        assert decision.reason is NoReason.NOT_EXPRESSIBLE
        assert decision.sentence == "a lacks tools; b lacks n"

    def test_a_pin_to_one_that_cannot_is_not_carried_elsewhere(self) -> None:
        decision = chosen({"a": "lacks tools"}, able("a"), able("b"), pin="a")
        assert isinstance(decision, NoDecision)
        assert decision.reason is NoReason.NOT_EXPRESSIBLE
        assert decision.sentence == "pinned to a, which lacks tools"
        other = chosen({"a": "lacks tools"}, able("a"), able("b"), pin="b")
        assert isinstance(other, Decision)
        assert (other.provider, other.reason) == ("b", Reason.PINNED)

    def test_a_move_finds_nobody_and_says_who_was_left_out(self) -> None:
        given = {"tried": ("b",), "moves": 0}
        decision = chosen({"a": "lacks tools"}, able("a"), able("b"), **given)
        assert isinstance(decision, NoDecision)
        assert decision.reason is NoReason.ALL_TRIED
        assert decision.sentence.endswith("; a lacks tools")

    def test_a_model_that_nobody_serves_is_not_called_inexpressible(self) -> None:
        decision = chosen({"a": "lacks tools"})
        assert isinstance(decision, NoDecision)
        assert decision.reason is NoReason.NOBODY_SERVES


states = st.builds(
    Candidate,
    provider=st.just("x"),
    standing=st.sampled_from(Standing),
    wait_s=st.sampled_from([0.0, 0.5, 3.0]),
    probe_in_s=st.sampled_from([0.0, 9.0]),
    probe_free=st.booleans(),
)


@given(
    shown=st.lists(states, min_size=1, max_size=4),
    lacks=st.sets(st.sampled_from("abcd")),
    tried=st.sets(st.sampled_from("abcd"), max_size=2),
    pin=st.none() | st.sampled_from("abcd"),
)
def test_whatever_the_state_it_is_the_choice_among_the_able(
    shown: list[Candidate], lacks: set[str], tried: set[str], pin: str | None
) -> None:
    named = [replace(one, provider=name) for one, name in zip(shown, "abcd", strict=False)]
    told = barred(dict.fromkeys(sorted(lacks), "lacks tools"))
    request = Request("light", 1, pin=pin, tried=sorted(tried), barred=told)
    decision = choose(request, named, RULES)
    plain = choose(
        replace(request, barred={}), [c for c in named if c.provider not in lacks], RULES
    )
    if isinstance(decision, Decision):
        assert decision.provider not in lacks
        assert isinstance(plain, Decision)
        assert decision.provider == plain.provider
        assert decision.sentence.endswith(plain.sentence)
    elif decision.reason is not NoReason.NOT_EXPRESSIBLE:
        assert isinstance(plain, NoDecision)
        assert decision.reason is plain.reason
