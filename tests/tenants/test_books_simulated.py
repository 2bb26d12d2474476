"""Whatever several classifiers do, hear late, lose and restart: no limit is passed by over 2%."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.minute_window import SLACK
from broker.core.tenant_limits import MINUTE_S, TenantLimits
from tests.tenants.town import TENANT, Town

DAY = TenantLimits(day=(400, 50_000, None))
MINUTE = TenantLimits(minute=(400, 50_000, None), max_wait_s=20.0)
STEPS = st.lists(
    st.tuples(st.sampled_from("aaaaaaaacchhrrkstw"), st.integers(0, 3), st.integers(1, 400)),
    max_size=250,
)


def live(town: Town, steps: list[tuple[str, int, int]]) -> Iterator[None]:
    """Take one step after another."""
    for step, who, size in steps:
        one = town.all[who % len(town.all)]
        if step == "a":
            for _ in range(1 + size // 20):
                town.ask(one, (1.0, float(size), 0.0))
        elif step == "c":
            town.commit(one)
        elif step == "h":
            town.hear(one, size)
        elif step == "r":
            town.correct(size / 400)
        elif step == "k":
            town.kill(one)
        elif step == "s":
            town.share_out()
        elif step == "t":
            town.tell_totals(one)
        else:
            town.now += size / 40
        yield


@given(STEPS, st.integers(0, 2**32), st.integers(1, 3))
def test_a_budget_is_never_passed_by_more_than_2_percent(
    steps: list[tuple[str, int, int]], seed: int, classifiers: int
) -> None:
    town = Town(DAY, 6, classifiers, seed)
    for _ in live(town, steps):
        assert len(town.begun()) <= 400 * (1 + SLACK)
        assert town.spent() <= 50_000 * (1 + SLACK) + 1e-6


@given(STEPS, st.integers(0, 2**32), st.integers(1, 3))
def test_no_minute_is_passed_by_more_than_2_percent(
    steps: list[tuple[str, int, int]], seed: int, classifiers: int
) -> None:
    town = Town(MINUTE, 6, classifiers, seed)
    charged = [step for step in steps if step[0] != "r"]
    for _ in live(town, charged):
        pass
    starts = sorted((entry.at, entry.tokens) for entry in town.begun())
    for at, _ in starts:
        within = [tokens for start, tokens in starts if at - MINUTE_S < start <= at]
        assert len(within) <= 400 * (1 + SLACK)
        assert sum(within) <= 50_000 * (1 + SLACK) + 1e-6


@given(STEPS, st.integers(0, 2**32))
def test_after_any_crash_everyone_knows_what_the_ledger_says(
    steps: list[tuple[str, int, int]], seed: int
) -> None:
    town = Town(DAY, 6, 3, seed)
    for _ in live(town, steps):
        pass
    town.share_out()
    town.kill(town.all[0])
    for one in town.all:
        assert one.books.pending == 0
        for totals in one.books.totals(town.now):
            (day,) = totals.days.values()
            requests = sum(amounts[0] for amounts in day.values())
            tokens = sum(amounts[1] for amounts in day.values())
            assert requests == len(town.begun())
            assert tokens == pytest.approx(town.spent(), abs=len(town.ledger))


@pytest.mark.parametrize("classifiers", [1])
def test_a_budget_can_be_used_up(classifiers: int) -> None:
    """Prompts fall on all partitions alike: nearly all of the budget is let in."""
    town = Town(TenantLimits(day=(1_000, None, None)), 12, classifiers, seed=7)
    for number in range(1_300):
        town.ask(town.all[number % classifiers], (1.0, 10.0, 0.0))
        if number % 20 == 0:
            for one in town.all:
                town.commit(one)
                town.hear(one, 10_000)
    assert 940 <= len(town.begun()) <= 1_020
    assert town.refused[-1].spent


def test_one_classifier_keeps_a_budget_exactly_and_lets_the_last_of_it_be_used() -> None:
    town = Town(TenantLimits(day=(10, None, None), month=(15, None, None)), 4, 1, seed=1)
    let_in = [town.ask(town.all[0], (1.0, 10.0, 0.0)) for _ in range(12)]
    assert [at is not None for at in let_in] == [True] * 10 + [False] * 2
    assert (town.refused[0].period, town.refused[0].spent) == ("day", True)
    assert town.refused[0].retry_at == 1_795_046_400.0
    town.now += 86_400
    assert sum(town.ask(town.all[0], (1.0, 10.0, 0.0)) is not None for _ in range(12)) == 5
    assert town.refused[-1].period == "month"


def test_a_limit_of_less_than_one_for_each_classifier_still_lets_prompts_in() -> None:
    town = Town(TenantLimits(day=(2, None, None)), 6, 3, seed=3)
    asked = [one for one in town.all if one.owned]
    for one in asked:
        town.ask(one, (1.0, 10.0, 0.0))
    # Each may have begun one before it heard of the others.
    assert 2 <= len(town.begun()) <= 2 + len(asked) - 1
    for one in town.all:
        town.commit(one)
    for one in town.all:
        town.hear(one, 100)
        assert town.ask(one, (1.0, 10.0, 0.0)) is None


def test_a_charge_that_was_rolled_back_is_taken_off_again() -> None:
    town = Town(TenantLimits(day=(10, None, None)), 4, 1, seed=1)
    (one,) = town.all
    for _ in range(10):
        town.ask(one, (1.0, 10.0, 0.0))
    one.open = []  # its partitions are lost before the commit, and come back
    one.books.owns(one.owned)
    assert town.ask(one, (1.0, 10.0, 0.0)) is None
    one.books.read_all()
    assert town.ask(one, (1.0, 10.0, 0.0)) is not None
    assert TENANT in {totals.tenant for totals in one.books.totals(town.now)} or not town.ledger
