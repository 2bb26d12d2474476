"""Learned weights beside plain rules on the shipped traces, and the measures they are judged by."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.bench.expectation_scores import lane_share, pinball, tau_b
from broker.bench.lane_agreement import Scores, replay, scores
from broker.bench.weighing_rules import RULES, Learned, ended_at
from broker.core.lanes import LanePlan, default_ranges
from broker.load.traces import load_trace

PLAIN = ("maximum", "mean", "input alone")


@pytest.fixture(scope="module")
def both() -> dict[str, Scores]:
    return scores(load_trace())


@pytest.mark.parametrize("rule", PLAIN)
def test_the_learned_weights_beat_a_plain_rule_by_every_measure(
    both: dict[str, Scores], rule: str
) -> None:
    assert both["learned"].beats(both[rule]), f"{both['learned']}\n{both[rule]}"


def test_they_beat_it_clearly_and_not_by_a_hair(both: dict[str, Scores]) -> None:
    learned = both["learned"]
    plain = [both[rule] for rule in PLAIN]
    assert learned.pinball < 0.5 * min(one.pinball for one in plain)
    assert learned.tau > 0.1 + max(one.tau for one in plain)
    assert learned.lanes > 0.15 + max(one.lanes for one in plain)
    assert learned.lanes > 0.9


def test_whose_a_prompt_is_says_more_than_the_length_of_its_input(
    both: dict[str, Scores],
) -> None:
    assert both["learned"].beats(both["no tenants"])


def test_where_answers_do_not_depend_on_the_input_little_is_lost_by_asking() -> None:
    code = scores(load_trace(["code"]))
    learned = code["learned"]
    for rule in PLAIN:
        assert learned.pinball < 1.1 * code[rule].pinball
        assert learned.tau > code[rule].tau - 0.02
        assert learned.lanes > code[rule].lanes - 0.01


@pytest.mark.parametrize("rule", RULES)
def test_no_rule_knows_what_has_not_ended_yet(rule: str) -> None:
    """Whatever ends after a moment may be changed, and all that was said until then stays."""
    trace = load_trace()[:600]
    moment = trace[400].at_s
    changed = [
        replace(one, output_tokens=one.output_tokens + 5_000) if ended_at(one) > moment else one
        for one in trace
    ]
    until = sum(one.at_s <= moment for one in trace)
    made = RULES[rule]
    assert replay(trace, made())[:until] == replay(changed, made())[:until]
    assert replay(trace, made())[until:] != replay(changed, made())[until:]


def test_the_same_trace_gives_the_same_every_time() -> None:
    trace = load_trace()[:500]
    assert replay(trace, Learned()) == replay(trace, Learned())


VALUES = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=25)


def tau_by_all_pairs(pairs: Sequence[tuple[int, int]]) -> float:
    same = first = second = 0
    for (a, b), (c, d) in combinations(pairs, 2):
        product = (a - c) * (b - d)
        same += (product > 0) - (product < 0)
        first += a != c
        second += b != d
    return same / sqrt(first * second) if first and second else 0.0


@given(VALUES)
def test_tau_is_that_of_all_pairs(pairs: list[tuple[int, int]]) -> None:
    found = tau_b([a for a, _ in pairs], [b for _, b in pairs])
    assert found == pytest.approx(tau_by_all_pairs(pairs))


def test_pinball_is_least_at_the_quantile() -> None:
    real = list(range(1, 101))
    losses = {said: pinball(0.8, [said] * 100, real) for said in range(1, 101)}
    assert min(losses, key=losses.__getitem__) in {80, 81}
    assert pinball(0.8, [10.0], [20.0]) == pytest.approx(8.0)
    assert pinball(0.8, [20.0], [10.0]) == pytest.approx(2.0)


def test_the_share_of_lanes_counts_those_that_are_the_same() -> None:
    plan = LanePlan(10, 100, default_ranges(12))
    assert lane_share([5, 50, 500, 5], [9, 11, 99, 100], plan) == 0.5
