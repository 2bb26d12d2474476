"""Whatever several classifiers do, hear late, lose and restart: no limit is passed by over 2%."""

from dataclasses import replace

import pytest

from broker.core.tenant_limits import MINUTE_S, TenantLimits
from tests.tenants.town import TENANT, Town

DAY = TenantLimits(day=(400, 50_000, None))
MINUTE = TenantLimits(minute=(400, 50_000, None), max_wait_s=20.0)
PATIENT = replace(MINUTE, max_wait_s=300.0)
STATED = 0.02
SEEDS = range(16)
STEPS = 400


@pytest.mark.parametrize("classifiers", [2, 3])
def test_a_budget_is_never_passed_by_more_than_2_percent(classifiers: int) -> None:
    for seed in SEEDS:
        town = Town(DAY, 6, classifiers, seed)
        for _ in town.live(STEPS):
            assert len(town.begun()) <= 400 * (1 + STATED), seed
            assert town.spent() <= 50_000 * (1 + STATED) + 1e-6, seed
        assert town.refused, f"seed {seed} never came to the limit"


@pytest.mark.parametrize("classifiers", [2, 3])
def test_no_minute_is_passed_by_more_than_2_percent(classifiers: int) -> None:
    waited = 0
    for seed in SEEDS:
        town = Town(PATIENT if seed % 2 else MINUTE, 6, classifiers, seed)
        for _ in town.live(STEPS, corrections=False):
            pass
        starts = sorted((entry.at, entry.tokens) for entry in town.begun())
        for at, _ in starts:
            within = [tokens for start, tokens in starts if at - MINUTE_S < start <= at]
            assert len(within) <= 400 * (1 + STATED), seed
            assert sum(within) <= 50_000 * (1 + STATED) + 1e-6, seed
        waited += len(town.refused)
    assert waited


def test_after_any_crash_everyone_knows_what_the_ledger_says() -> None:
    for seed in SEEDS:
        town = Town(DAY, 6, 3, seed)
        for _ in town.live(STEPS):
            pass
        town.share_out()
        town.kill(town.all[0])
        for one in town.all:
            assert one.books.pending == 0
            for totals in one.books.totals([TENANT], town.now):
                (day,) = totals.days.values()
                assert sum(amounts[0] for amounts in day.values()) == pytest.approx(
                    len(town.begun()), abs=1e-3
                )
                assert sum(amounts[1] for amounts in day.values()) == pytest.approx(
                    town.spent(), abs=1e-2
                )


@pytest.mark.parametrize("classifiers", [1, 2, 4])
def test_a_budget_can_be_used_up(classifiers: int) -> None:
    """Prompts fall on all partitions alike: nearly all of the budget is let in."""
    town = Town(TenantLimits(day=(1_000, None, None)), 12, classifiers, seed=7)
    for number in range(2_000):
        town.ask(town.all[number % classifiers], (1.0, 10.0, 0.0))
        if number % 20 == 0:
            for one in town.all:
                town.commit(one)
                town.lend(one, surely=True)
                town.hear(one, 10_000)
    assert 985 <= len(town.begun()) <= 1_020
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
    town.ledger.append(one.books.claim)
    town.hear(one, 100)
    assert town.ask(one, (1.0, 10.0, 0.0)) is not None


def test_what_is_lent_of_a_partition_that_was_taken_away_is_void_for_everyone() -> None:
    town = Town(TenantLimits(day=(120, None, None)), 6, 3, seed=2)
    giver, taker, third = town.all
    for one, first in ((giver, 0), (taker, 2), (third, 4)):
        town.own(one, frozenset({first, first + 1}))
    town.settle()
    for _ in range(40):
        town.ask(taker, (1.0, 10.0, 0.0))
    town.commit(taker)
    town.hear(giver, 1_000)
    late = list(giver.books.lend(town.now))
    assert late
    town.own(third, frozenset({0, 1, 4, 5}))  # the giver does not know yet
    for one in (third, taker):
        town.hear(one, 1_000)
        for _ in range(120):
            town.ask(one, (1.0, 10.0, 0.0))
        town.ledger += late
    assert len(town.begun()) == 120


def test_who_gets_all_the_prompts_gets_nearly_all_of_a_minute_and_of_a_budget() -> None:
    limits = TenantLimits(minute=(300, None, None), day=(900, None, None), max_wait_s=0.0)
    town = Town(limits, 12, 2, seed=5)
    town.own(town.all[0], frozenset(range(6)))
    town.own(town.all[1], frozenset(range(6, 12)))
    town.settle()
    for _ in range(1_200):  # ten minutes
        town.wait(0.5)
        for _ in range(3):
            town.ask(town.all[0], (1.0, 10.0, 0.0))
        for one in town.all:
            town.commit(one)
            town.hear(one, 1_000)
            town.lend(one, surely=True)
    assert 850 <= len(town.begun()) <= 900
    assert {one.period for one in town.refused} == {"minute", "day"}
