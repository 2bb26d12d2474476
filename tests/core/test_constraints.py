"""Whom a prompt may go to: a constraint holds at the first choice and at every move."""

from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.candidates import Candidate, Standing
from broker.core.constraints import OPEN, Constraint, asked_by
from broker.core.lanes import LANES
from broker.core.policies import Policy
from broker.core.prices import Prices
from broker.core.provider_view import ProviderView
from broker.core.route_reasons import Loss, NoReason, Reason
from broker.core.route_terms import Load, Moving, RouteTerms
from broker.core.routing import Decision, NoDecision, Request, RoutingRules, choose
from broker.records.incoming import Source
from broker.records.prompt import Catalog, Prompt

NAMES = ("a", "b", "c", "d")
REGIONS = {"a": "us", "b": "eu", "c": "eu", "d": None}
USD = {"a": 0.002, "b": 0.001, "c": None, "d": 0.0}
RULES = RoutingRules(dict.fromkeys(LANES, 2.0), max_moves=3)

names = st.none() | st.frozensets(st.sampled_from(NAMES))
places = st.none() | st.frozensets(st.sampled_from(["us", "eu", "asia"]))
constraints = st.builds(
    Constraint, names, places, st.none() | st.sampled_from([0.0, 0.001, 0.0015, 1.0])
)
policies = st.sampled_from(
    [
        Policy(),
        Policy("fastest"),
        Policy("cheapest"),
        Policy("weighted", weights={"a": 1, "c": 3}),
        Policy("pinned", to="b"),
    ]
)
candidates = st.builds(
    Candidate,
    provider=st.just("x"),
    standing=st.sampled_from(Standing),
    wait_s=st.sampled_from([0.0, 1.0, 9.0]),
    probe_in_s=st.sampled_from([0.0, 5.0]),
    probe_free=st.booleans(),
    age_s=st.just(0.1),
    calls=st.sampled_from([{}, {"": (0.5, 0.01)}]),
)


def named(shown: list[Candidate]) -> list[Candidate]:
    return [
        Candidate(name, c.standing, c.wait_s, c.probe_in_s, c.probe_free, age_s=0.1, calls=c.calls)
        for name, c in zip(NAMES, shown, strict=False)
    ]


def keeps(constraint: Constraint, name: str) -> bool:
    """The same rule, said once more in other words."""
    usd = USD[name]
    return (
        (constraint.providers is None or name in constraint.providers)
        and (constraint.regions is None or REGIONS[name] in constraint.regions)
        and (constraint.max_usd is None or (usd is not None and usd <= constraint.max_usd))
    )


def test_each_bar_has_its_code_and_words() -> None:
    constraint = Constraint(frozenset("abd"), frozenset({"eu"}), 0.0005)
    bars = constraint.bars(NAMES, REGIONS, USD)
    assert {name: bar.code for name, bar in bars.items()} == {
        "a": Loss.REGION,
        "b": Loss.PRICE,
        "c": Loss.PROVIDER,
        "d": Loss.REGION,
    }
    assert bars["a"].words == "is in us, not in eu"
    assert bars["b"].words == "costs about 0.001000 USD, over 0.0005"
    assert bars["d"].words == "has no region, not in eu"


def test_a_provider_without_a_price_is_over_every_ceiling() -> None:
    bars = Constraint(max_usd=100.0).bars(NAMES, REGIONS, USD)
    assert list(bars) == ["c"]
    assert "no known price" in bars["c"].words


@given(constraints, constraints)
def test_two_constraints_allow_what_each_of_them_allows(one: Constraint, other: Constraint) -> None:
    both = set(one.both(other).bars(NAMES, REGIONS, USD))
    apart = set(one.bars(NAMES, REGIONS, USD)) | set(other.bars(NAMES, REGIONS, USD))
    assert both == apart


requests = st.builds(
    Request,
    lane=st.sampled_from(LANES),
    weight=st.just(500),
    luck=st.floats(0, 0.999),
    usd=st.just(USD),
    left_s=st.none() | st.floats(0.1, 20),
    output_tokens=st.just(100),
)


@given(constraints, policies, st.lists(candidates, min_size=1, max_size=4), requests)
def test_no_policy_and_no_move_ever_breaks_a_constraint(
    constraint: Constraint, policy: Policy, states: list[Candidate], asked: Request
) -> None:
    shown = named(states)
    barred = constraint.bars([c.provider for c in shown], REGIONS, USD)
    tried: tuple[str, ...] = ()
    while True:
        request = replace(asked, barred=barred, tried=tried, moves=max(0, len(tried) - 1))
        chosen = choose(request, shown, RULES, policy)
        if isinstance(chosen, NoDecision):
            assert chosen.sentence
            break
        assert keeps(constraint, chosen.provider)
        assert chosen.provider not in tried
        assert chosen.reason in Reason
        notes = {note["provider"]: note for note in chosen.notes}
        assert "lost" not in notes[chosen.provider]
        assert all("lost" in n for name, n in notes.items() if name != chosen.provider)
        tried += (chosen.provider,)
    assert len(tried) <= RULES.max_moves + 1


@pytest.mark.parametrize(
    ("constraint", "reason"),
    [
        (Constraint(regions=frozenset({"asia"})), NoReason.NOT_ALLOWED),
        (Constraint(providers=frozenset()), NoReason.NOT_ALLOWED),
        (Constraint(frozenset("ab"), max_usd=0.0001), NoReason.OVER_PRICE),
    ],
)
def test_when_nobody_is_left_it_says_what_left_nobody(
    constraint: Constraint, reason: NoReason
) -> None:
    shown = named([Candidate("x", Standing.ABLE)] * 4)
    chosen = choose(Request("light", 1, barred=constraint.bars(NAMES, REGIONS, USD)), shown, RULES)
    assert isinstance(chosen, NoDecision)
    assert chosen.reason is reason
    assert all(name in chosen.sentence for name in NAMES)
    assert all("lost" in note for note in chosen.notes)


def test_a_preferred_one_that_is_not_allowed_is_said_to_be_passed_over() -> None:
    barred = Constraint(regions=frozenset({"eu"})).bars(NAMES, REGIONS, USD)
    shown = named([Candidate("x", Standing.ABLE)] * 4)
    chosen = choose(Request("light", 1, barred=barred), shown, RULES)
    assert isinstance(chosen, Decision)
    assert (chosen.provider, chosen.reason) == ("b", Reason.ALLOWED)
    assert chosen.sentence.startswith("a is in us, not in eu; b")


def test_a_ceiling_holds_for_what_was_spent_before_a_move_too() -> None:
    catalog = Catalog({"chat": "chat"}, {"chat": "chat"}, {"chat": ("a", "b")})
    prices = {"chat": {"a": Prices(1.0, 1.0), "b": Prices(1.0, 1.0)}}
    policy = Policy(allowed=Constraint(max_usd=0.002))
    terms = RouteTerms(catalog, RULES, policy, prices=prices)
    asked = Prompt(
        "p",
        "t",
        "chat",
        "chat",
        "standard",
        None,
        None,
        False,
        0.0,
        Source(0, 1),
        None,
        True,
        fields={},
        metadata={},
    )  # fmt: skip - only its id and model matter
    load = Load("light", 1_500, 1_000, 500)
    first = terms.choose(asked, load, ProviderView(0.0), 1.0)
    assert isinstance(first, Decision)
    assert first.notes[0]["usd"] == 0.0015
    moving = Moving(("a",), "failed", spent_usd=0.0015)
    second = terms.choose(asked, load, ProviderView(0.0), 1.0, moving)
    assert isinstance(second, NoDecision)
    assert second.reason is NoReason.OVER_PRICE


def test_a_prompt_says_its_own_constraint() -> None:
    assert asked_by({"prompt": "x"}) is OPEN
    found = asked_by({"providers": ["a", "b"], "regions": ["eu"], "max_cost_usd": 1})
    assert found == Constraint(frozenset("ab"), frozenset({"eu"}), 1.0)
    for size in (1, 2):
        for some in combinations(NAMES, size):
            assert asked_by({"providers": list(some)}).providers == frozenset(some)
