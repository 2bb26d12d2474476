import random
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.core.lanes import LANES, Lane
from broker.core.policies import Policy, PolicyName
from broker.core.provider_view import Candidate, OwnDecisions, ProviderView, Standing
from broker.core.routing import (
    Decision,
    NoDecision,
    NoReason,
    Reason,
    Request,
    RoutingRules,
    choose,
)
from broker.records.providers import ProviderState

RULES = RoutingRules({"light": 4.0, "medium": 2.0, "heavy": 1.0, "batch": 60.0}, max_moves=2)
NAMES = ("openai", "azure", "google", "coreweave")
EQUAL = dict.fromkeys(NAMES, 1.0)
candidates = st.builds(
    Candidate,
    provider=st.just("x"),
    standing=st.sampled_from(Standing),
    wait_s=st.sampled_from([0.0, 0.5, 1.0, 1.5, 3.0, 50.0]),
    probe_in_s=st.sampled_from([0.0, 1.0, 9.0]),
    probe_free=st.booleans(),
    age_s=st.none() | st.floats(0, 99),
)


def able(provider: str, wait_s: float = 0.0) -> Candidate:
    return Candidate(provider, Standing.ABLE, wait_s=wait_s, age_s=0.5)


def decided(request: Request, *shown: Candidate) -> Decision:
    decision = choose(request, shown, RULES)
    assert isinstance(decision, Decision)
    return decision


def state(provider: str, at: float, **other: Any) -> ProviderState:
    given: dict[str, Any] = {
        "provider": provider,
        "worker": "0",
        "at": at,
        "breaker": "closed",
        "in_flight": 0,
        "slots": 64,
        "waiting": 0,
        "waiting_weight": 0,
        "speed": 1000.0,
        "waiting_by_lane": {},
        "in_flight_by_lane": {},
    } | other  # fmt: skip - a record on a page of its own hides what a test changes
    return ProviderState(**given)


def test_the_preferred_one_keeps_a_prompt_under_the_limit() -> None:
    decision = decided(Request("light", 100), able("azure", 4.0), able("google"))
    assert (decision.provider, decision.reason) == ("azure", Reason.PREFERRED)
    assert decision.sentence == "azure waits 4.0 s, limit 4 s"


def test_heavy_prompts_overflow_first() -> None:
    shown = (able("azure", 1.5), able("google", 0.2))
    assert decided(Request("light", 100), *shown).provider == "azure"
    assert decided(Request("medium", 100), *shown).provider == "azure"
    heavy = decided(Request("heavy", 9000), *shown)
    assert (heavy.provider, heavy.reason) == ("google", Reason.OVERFLOW)
    assert heavy.sentence == "azure waits 1.5 s of 1 s for heavy, google waits 0.2 s"
    assert heavy.candidates == shown


def test_an_open_breaker_takes_a_provider_out() -> None:
    out = Candidate("azure", Standing.OUT, probe_in_s=3.0, age_s=0.2)
    decision = decided(Request("light", 1), out, able("google"))
    assert (decision.provider, decision.reason) == ("google", Reason.BREAKER)
    assert decision.sentence == "azure has its breaker open for 3.0 s, google waits 0.0 s"


def test_all_out_takes_the_one_that_tries_again_first() -> None:
    shown = [
        Candidate(n, Standing.OUT, probe_in_s=s) for n, s in zip("abc", (9, 3, 5), strict=True)
    ]
    decision = decided(Request("light", 1), *shown)
    assert (decision.provider, decision.reason) == ("b", Reason.LEAST_BAD)


def test_all_over_the_limit_takes_the_shortest_wait() -> None:
    decision = decided(Request("heavy", 1), able("a", 9), able("b", 3), able("c", 5))
    assert (decision.provider, decision.reason) == ("b", Reason.LEAST_WAIT)


def test_silence_is_not_freedom() -> None:
    silent = Candidate("azure", Standing.SILENT, age_s=30.0)
    decision = decided(Request("light", 1), silent, able("google", 3))
    assert (decision.provider, decision.reason) == ("google", Reason.SILENT)
    assert decision.sentence == "azure silent for 30.0 s, google waits 3.0 s"
    alone = decided(Request("light", 1), silent, Candidate("google", Standing.SILENT))
    assert (alone.provider, alone.reason) == ("azure", Reason.SILENT)


def test_one_prompt_tries_a_provider_that_may_be_back() -> None:
    back = Candidate("azure", Standing.PROBING, probe_in_s=0, probe_free=True)
    assert decided(Request("light", 1), back, able("google")).reason is Reason.PROBE
    busy = Candidate("azure", Standing.PROBING, probe_in_s=0)
    assert decided(Request("light", 1), busy, able("google")).provider == "google"


def test_a_pin_holds_whatever_the_state() -> None:
    out = Candidate("google", Standing.OUT, probe_in_s=3.0)
    decision = decided(Request("light", 1, pin="google"), able("azure"), out)
    assert (decision.provider, decision.reason) == ("google", Reason.PINNED)


@pytest.mark.parametrize(
    ("request_", "shown", "reason"),
    [
        (Request("light", 1), (), NoReason.NOBODY_SERVES),
        (Request("light", 1, pin="google"), (able("azure"),), NoReason.PINNED_ELSEWHERE),
        (Request("light", 1, pin="a", tried=("a",)), (able("a"), able("b")), NoReason.PINNED_TRIED),
        (Request("light", 1, tried=("a",)), (able("a"),), NoReason.ALL_TRIED),
        (Request("light", 1, tried=("a",), moves=2), (able("b"),), NoReason.MOVES_SPENT),
    ],
)
def test_nobody_left_is_said_by_name(
    request_: Request, shown: tuple[Candidate, ...], reason: NoReason
) -> None:
    decision = choose(request_, shown, RULES)
    assert isinstance(decision, NoDecision)
    assert decision.reason is reason


def test_where_moves_are_spent_no_other_is_said_to_be_less_preferred() -> None:
    request = Request("light", 1, tried=("a",), moves=2)
    decision = choose(request, (able("a"), able("b")), RULES)
    assert isinstance(decision, NoDecision)
    assert [note["lost"] for note in decision.not_routed.candidates] == ["tried", "moves_spent"]
    pinned = Policy("pinned", to="c")
    decision = choose(Request("light", 1), (able("a"), able("b")), RULES, pinned)
    assert [note["lost"] for note in decision.notes] == ["pinned_elsewhere"] * 2


def test_a_limit_that_was_lower_by_chance_is_told_as_it_was_taken() -> None:
    request = Request("heavy", 1, luck=0.9)
    decision = decided(request, able("azure", 0.97), able("google"))
    assert decision.sentence == "azure waits 1.0 s of 0.91 s for heavy, google waits 0.0 s"
    assert decision.notes[0]["lost"] == "over_limit"
    assert decided(replace(request, luck=0.1), able("azure", 0.95)).reason is Reason.ONLY


def test_a_move_says_what_happened() -> None:
    request = Request("light", 1, tried=("azure",), because="answered 503, 2 times")
    decision = decided(request, able("azure"), able("google", 0.3))
    assert (decision.provider, decision.reason) == ("google", Reason.FAILED)
    assert decision.sentence == "azure answered 503, 2 times, google waits 0.3 s"


@given(
    st.lists(candidates, max_size=4),
    st.sampled_from(LANES),
    st.sets(st.sampled_from(NAMES)),
    st.none() | st.sampled_from(NAMES),
    st.integers(0, 3),
)
def test_a_choice_is_allowed_and_no_other_is_plainly_better(
    states: list[Candidate], lane: Any, tried: set[str], pin: str | None, moves: int
) -> None:
    shown = [
        Candidate(name, c.standing, c.wait_s, c.probe_in_s, c.probe_free, age_s=c.age_s)
        for name, c in zip(NAMES, states, strict=False)
    ]
    decision = choose(Request(lane, 5, pin, tuple(tried), moves), shown, RULES)
    left = [c for c in shown if c.provider not in tried and pin in (None, c.provider)]
    if isinstance(decision, NoDecision):
        assert not left or moves >= RULES.max_moves
        assert decision.sentence
        return
    chosen = next(c for c in left if c.provider == decision.provider)
    assert decision.sentence
    assert not (tried and moves >= RULES.max_moves)
    if pin is None:
        limit = RULES.wait_limits[lane]
        good = [c for c in left if c.standing is Standing.ABLE and c.wait_s <= limit]
        if good and decision.reason is not Reason.PROBE:
            assert chosen is good[0]
        if any(c.standing is Standing.ABLE for c in left):
            assert chosen.standing in {Standing.ABLE, Standing.PROBING}


@settings(max_examples=50)
@given(
    st.lists(candidates, min_size=4, max_size=4),
    st.integers(0, 5),
    st.sampled_from(LANES),
    st.sampled_from(["overflow", "fastest", "cheapest", "weighted"]),
    st.floats(0, 0.999),
)
def test_moves_end(
    looks: list[Candidate], most: int, lane: Lane, policy: PolicyName, luck: float
) -> None:
    """Failing everywhere, however the others stand: at most `max_moves` times, and never back."""
    rules = replace(RULES, max_moves=most)
    tried: list[str] = []
    decision: Decision | NoDecision | None = None
    for turn in range(len(NAMES) + 1):
        turned = [*looks[turn % 4 :], *looks[: turn % 4]]
        shown = [replace(one, provider=name) for name, one in zip(NAMES, turned, strict=True)]
        request = Request(lane, 1, None, tuple(tried), max(0, len(tried) - 1), luck=luck)
        decision = choose(request, shown, rules, Policy(policy, weights=EQUAL))
        if isinstance(decision, NoDecision):
            break
        assert decision.provider not in tried
        tried.append(decision.provider)
    assert len(tried) == min(most + 1, len(NAMES)), "as often as it may, and no more"
    assert isinstance(decision, NoDecision)
    spent = len(tried) == most + 1
    assert decision.reason is (NoReason.MOVES_SPENT if spent else NoReason.ALL_TRIED)


@pytest.mark.parametrize(
    "limits", [{"light": 1, "medium": 1, "heavy": 2, "batch": 9}, {"light": 1}]
)
def test_rules_by_which_heavy_would_not_overflow_first_are_refused(limits: Any) -> None:
    with pytest.raises(ValueError, match=r"heavy|every lane"):
        RoutingRules(limits)


def test_nothing_known_yet_means_preferred_first() -> None:
    view = ProviderView(observing_since=100.0)
    decision = decided(Request("heavy", 1), *view.candidates(NAMES, 101.0))
    assert decision.provider == "openai"
    assert decision.sentence == "openai has not reported yet, limit 1 s"


def test_expected_wait_is_waiting_weight_over_the_workers_speed() -> None:
    view = ProviderView(0.0)
    view.update(
        {
            "openai": [
                state("openai", 99.0, waiting_weight=6000, worker="0"),
                state("openai", 99.5, waiting_weight=2000, worker="1", speed=None),
            ]
        }
    )  # fmt: skip - two workers of one provider
    (candidate,) = view.candidates(["openai"], 100.0)
    assert candidate.wait_s == pytest.approx(4.0)
    assert candidate.age_s == pytest.approx(0.5)


def test_a_burst_between_two_reports_does_not_herd() -> None:
    """Four providers report once a second; the prompts of that second do not all go to one."""
    view, now, went = ProviderView(0.0), 100.0, Counter[str]()
    view.update({name: [state(name, 100.0, slots=4)] for name in NAMES})
    for _ in range(130):
        now += 0.004
        decision = decided(Request("medium", 50), *view.candidates(NAMES, now))
        went[decision.provider] += 1
        view.sent(decision.provider, 50, now)
    assert went["openai"] == pytest.approx(41, abs=2)  # 2 s of its speed, then the next
    assert [went[name] for name in NAMES] == [41, 41, 41, 7]


def test_what_a_report_has_counted_is_not_counted_twice() -> None:
    view = ProviderView(0.0)
    for place in range(100):
        view.sent("openai", 100, 100.0 + place / 100)
    view.update({"openai": [state("openai", 102.0, waiting_weight=500)]})
    assert view.candidates(["openai"], 102.0)[0].wait_s == pytest.approx(0.5)


def test_an_old_report_is_silence_and_so_is_none_after_a_while() -> None:
    view = ProviderView(observing_since=0.0, silent_after_s=10.0)
    view.update({"openai": [state("openai", 5.0)]})
    standings = [c.standing for c in view.candidates(["openai", "azure"], 9.0)]
    assert standings == [Standing.ABLE, Standing.ABLE]
    standings = [c.standing for c in view.candidates(["openai", "azure"], 16.0)]
    assert standings == [Standing.SILENT, Standing.SILENT]


def test_one_open_worker_of_two_leaves_the_other_working() -> None:
    view = ProviderView(0.0)
    closed = state("openai", 9.0, worker="0")
    tripped = state("openai", 9.0, worker="1", breaker="open", opens_again_at=12.0)
    view.update({"openai": [closed, tripped]})
    assert view.candidates(["openai"], 9.0)[0].standing is Standing.ABLE
    view.update({"openai": [tripped]})
    (candidate,) = view.candidates(["openai"], 9.1)
    assert (candidate.standing, round(candidate.probe_in_s, 6)) == (Standing.OUT, 2.9)
    (candidate,) = view.candidates(["openai"], 12.5)
    assert (candidate.standing, candidate.probe_free) == (Standing.PROBING, True)
    view.sent("openai", 10, 12.5)
    assert not view.candidates(["openai"], 12.5)[0].probe_free


@given(st.integers(0, 2**32))
def test_a_cached_view_says_what_a_new_one_would(seed: int) -> None:
    drawn = random.Random(seed)
    view, sent, reports, now = ProviderView(0.0), [], {}, 100.0
    for _ in range(30):
        now += drawn.choice([0.0, 0.01, 0.3, 4.0])
        name = drawn.choice(NAMES)
        if drawn.random() < 0.4:
            reports[name] = [state(name, now, waiting_weight=drawn.randrange(9000))]
            view.update(reports)
        else:
            view.sent(name, drawn.randrange(1, 900), now)
            sent.append((name, now))
        view.candidates(NAMES, now)
    now += 0.06
    fresh = ProviderView(0.0)
    fresh._own = view._own  # noqa: SLF001 - the ledger is shared, only the cache is judged
    fresh.update(reports)
    made, kept = (
        [replace(one, age_s=None) for one in known.candidates(NAMES, now)]
        for known in (fresh, view)
    )
    assert made == kept


def test_an_open_breaker_that_names_no_time_is_the_last_to_be_tried() -> None:
    view = ProviderView(0.0)
    view.update(
        {
            "openai": [state("openai", 9.0, breaker="open")],
            "azure": [state("azure", 9.0, breaker="open", opens_again_at=99.0)],
        }
    )  # fmt: skip - as above
    assert decided(Request("light", 1), *view.candidates(NAMES[:2], 9.0)).provider == "azure"


def test_the_ledger_of_own_decisions_is_bounded() -> None:
    ledger = OwnDecisions(horizon_s=30.0)
    for place in range(100_000):
        ledger.sent("openai", 1, place / 100)
    assert ledger.since("openai", 0.0)[1] < 30 * 100 + 10
    weight, count = ledger.since("openai", 999.0)
    assert weight == count == pytest.approx(110, abs=12)
    assert ledger.since("azure", 0.0) == (0.0, 0)


def test_the_only_provider_is_said_to_be_that() -> None:
    assert decided(Request("light", 1), able("azure")).reason is Reason.ONLY


def test_free_slots_mean_no_wait_and_full_ones_do() -> None:
    view = ProviderView(0.0)
    view.update({"openai": [state("openai", 9.0, in_flight=2, slots=4, speed=10.0)]})
    waits = []
    for _ in range(3):
        waits.append(view.candidates(["openai"], 9.0)[0].wait_s)
        view.sent("openai", 50, 9.0)
    assert waits == [0.0, 0.0, 10.0]


def test_a_speed_nobody_has_measured_is_taken_for_a_modest_one_and_not_for_any() -> None:
    view = ProviderView(0.0)
    view.update({"openai": [state("openai", 9.0, waiting_weight=10**6, speed=None)]})
    assert view.candidates(["openai"], 9.0)[0].wait_s > 10.0
    view.update({"openai": [state("openai", 9.5, speed=None)]})
    assert view.candidates(["openai"], 9.5)[0].wait_s == 0.0


@pytest.mark.parametrize(
    "others", [able("google", wait_s=9.0), Candidate("google", Standing.OUT, probe_in_s=4.0)]
)
def test_a_move_to_the_least_bad_still_says_what_happened_before(others: Candidate) -> None:
    request = Request("light", 1, tried=("azure",), because="answered 503")
    assert decided(request, able("azure"), others).sentence.startswith("azure answered 503; ")
