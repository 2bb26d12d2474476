"""Quantiles, rates, summaries: what a figure's runs come to."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.bench.figures import (
    BY_NAME,
    FIGURES,
    Figure,
    Measured,
    quantile,
    rate_between,
    rounded,
)

floats = st.floats(min_value=0, max_value=1e6)


@given(st.lists(floats, min_size=1), st.floats(min_value=0.001, max_value=1))
def test_a_quantile_is_one_of_the_values_and_as_many_as_asked_are_not_above(
    values: list[float], share: float
) -> None:
    ordered = sorted(values)
    found = quantile(ordered, share)
    assert found in ordered
    assert sum(value <= found for value in ordered) >= share * len(ordered) - 1e-6
    assert sum(value < found for value in ordered) < share * len(ordered)


def test_the_99th_of_a_hundred_leaves_one_out() -> None:
    assert quantile([*range(1, 100), math.inf], 0.99) == 99
    assert quantile([1.0, 2.0, 3.0], 0.5) == 2.0


def test_a_rate_leaves_out_what_was_done_before_the_first_was_seen() -> None:
    # A batch of three at once is no three records in no time.
    assert rate_between([5.0, 5.0, 5.0, 6.0, 7.0, 7.0]) == pytest.approx(3 / 2)
    assert rate_between([5.0, 5.0]) == math.inf


@given(st.floats(min_value=1e-6, max_value=1e9))
def test_rounding_keeps_four_digits(value: float) -> None:
    assert rounded(value) == pytest.approx(value, rel=6e-4)


def test_a_line_has_what_the_contract_names() -> None:
    line = Measured(BY_NAME["whole_way_rate"], (900.0, 1100.0, 1050.0)).as_json()
    assert line == {
        "name": "whole_way_rate",
        "unit": "prompts/s",
        "median": 1050,
        "min": 900,
        "max": 1100,
        "runs": 3,
        "target": 1000,
        "met": True,
    }


def test_runs_too_short_to_be_compared_are_marked() -> None:
    assert Measured(BY_NAME["kill_recovery"], (3.5,), quick=True).as_json()["quick"] is True


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.name)
def test_a_target_is_met_on_its_own_side_only(figure: Figure) -> None:
    assert figure.met_by(figure.target)
    assert figure.met_by(figure.target * 2) == (figure.better == "higher")
    assert figure.met_by(figure.target / 2) == (figure.better == "lower")
