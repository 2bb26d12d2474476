import random
from collections import deque
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from broker.core.breaker import Breaker, BreakerRules

RULES = BreakerRules()


def called(breaker: Breaker, now: float, *, well: bool) -> None:
    ticket = breaker.allows(now)
    assert ticket is not None
    (breaker.succeeded if well else breaker.failed)(ticket, now)


def opened(rules: BreakerRules = RULES) -> Breaker:
    breaker = Breaker(rules)
    for _ in range(rules.in_a_row):
        called(breaker, 100.0, well=False)
    return breaker


def test_it_opens_after_failures_in_a_row() -> None:
    breaker = opened()
    assert breaker.state(100.0) == "open"
    assert breaker.allows(100.0) is None
    assert breaker.opens_again_at(100.0) == 102.0


def test_it_opens_at_the_failure_rate_with_enough_outcomes() -> None:
    breaker = Breaker(RULES)
    for place in range(RULES.least):
        assert breaker.state(0.1 * place) == "closed"
        called(breaker, 0.1 * place, well=place % 2 == 0)
    assert breaker.state(1.0) == "open"


def test_few_outcomes_say_nothing_about_a_rate() -> None:
    breaker = Breaker(RULES)
    for place in range(7):
        called(breaker, 0.1 * place, well=False)
    assert breaker.state(1.0) == "closed"


def test_old_outcomes_are_forgotten() -> None:
    breaker = Breaker(RULES)
    for place in range(40):
        called(breaker, place * 5.0, well=place % 3 == 2)
    assert breaker.state(200.0) == "closed"


def test_half_open_lets_few_through_and_closes_when_they_succeed() -> None:
    breaker = opened()
    tickets = [breaker.allows(102.0) for _ in range(5)]
    assert [ticket is not None for ticket in tickets] == [True, True, False, False, False]
    assert tickets[0] is not None
    assert tickets[1] is not None
    breaker.succeeded(tickets[0], 102.5)
    assert breaker.state(102.5) == "half_open"
    assert breaker.allows(102.5) is None
    breaker.succeeded(tickets[1], 102.6)
    assert breaker.state(102.6) == "closed"


def test_open_time_doubles_up_to_the_cap_and_starts_anew_once_closed() -> None:
    breaker, now, lasted = opened(), 100.0, []
    for _ in range(7):
        again = breaker.opens_again_at(now)
        assert again is not None
        lasted.append(again - now)
        now = again
        called(breaker, now, well=False)
    assert lasted == [2, 4, 8, 12, 12, 12, 12]
    now += 30
    called(breaker, now, well=True)
    called(breaker, now, well=True)
    for _ in range(RULES.in_a_row):
        called(breaker, now, well=False)
    assert breaker.opens_again_at(now) == now + 2


def test_calls_from_before_it_opened_change_nothing() -> None:
    breaker = Breaker(RULES)
    old = breaker.allows(99.0)
    assert old is not None
    for _ in range(RULES.in_a_row):
        called(breaker, 100.0, well=False)
    breaker.succeeded(old, 101.0)
    breaker.failed(old, 103.0)
    assert breaker.state(103.0) == "half_open"
    assert breaker.allows(103.0) is not None


def test_a_probe_that_said_nothing_frees_its_place() -> None:
    breaker = opened()
    for _ in range(10):
        ticket = breaker.allows(103.0)
        assert ticket is not None
        breaker.unheard(ticket)
    assert breaker.state(103.0) == "half_open"


@pytest.mark.parametrize(
    "wrong",
    [
        {"window_s": 0},
        {"least": 0},
        {"failure_rate": 0},
        {"failure_rate": 1.1},
        {"in_a_row": 0},
        {"open_s": 0},
        {"open_s": 40},
        {"probes": 0},
    ],
)  # fmt: skip - one line a mistake would be longer than the test
def test_rules_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="can never work"):
        BreakerRules(**wrong)


@given(st.integers(0, 2**32))
def test_it_always_comes_back_once_the_provider_is_well(seed: int) -> None:
    drawn = random.Random(seed)
    breaker, now = Breaker(RULES), 0.0
    for _ in range(150):
        now += drawn.expovariate(5)
        ticket = breaker.allows(now)
        if ticket is not None:
            drawn.choice((breaker.failed, breaker.failed, breaker.succeeded))(ticket, now)
    now += RULES.open_cap_s
    for _ in range(RULES.probes):
        called(breaker, now, well=True)
    assert breaker.state(now) == "closed"


class Kept(RuleBasedStateMachine):
    """In any state no more calls than allowed, and tickets in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker(RULES)
        self.now = 0.0
        self.out: deque[tuple[int, str]] = deque()

    @rule(step=st.sampled_from([0.0, 0.3, 1.0, 31.0]))
    def time_passes(self, step: float) -> None:
        self.now += step

    @rule()
    def call(self) -> None:
        state = self.breaker.state(self.now)
        ticket = self.breaker.allows(self.now)
        assert state != "open" or ticket is None
        if ticket is not None:
            self.out.append((ticket, state))

    @precondition(lambda self: self.out)
    @rule(how=st.sampled_from(["succeeded", "failed", "failed", "unheard"]), last=st.booleans())
    def end(self, how: str, last: bool) -> None:  # noqa: FBT001 - hypothesis passes by name
        ticket, _ = self.out.pop() if last else self.out.popleft()
        if how == "unheard":
            self.breaker.unheard(ticket)
        else:
            getattr(self.breaker, how)(ticket, self.now)

    @invariant()
    def probes_are_few(self) -> None:
        if self.breaker.state(self.now) == "half_open":
            free = 0
            tickets = []
            while (ticket := self.breaker.allows(self.now)) is not None:
                free += 1
                tickets.append(ticket)
            assert free <= RULES.probes
            for ticket in tickets:
                self.breaker.unheard(ticket)

    @invariant()
    def an_open_one_says_when(self) -> None:
        again = self.breaker.opens_again_at(self.now)
        assert (again is not None) == (self.breaker.state(self.now) == "open")
        assert again is None or self.now < again <= self.now + RULES.open_cap_s


TestKept = Kept.TestCase


@pytest.mark.parametrize(("later", "expected"), [(9.0, "open"), (11.0, "closed")])
def test_the_window_is_as_long_as_it_says(later: float, expected: str) -> None:
    """Nine of twenty calls failed, and two more: half, if the twenty still count."""
    breaker = Breaker(RULES)
    for well in (True, True, *[False, True] * 9):
        called(breaker, 100.0, well=well)
    called(breaker, 100.0 + later, well=False)
    called(breaker, 100.0 + later, well=False)
    assert breaker.state(100.0 + later) == expected


def spent(breaker: Breaker, now: float) -> bool:
    ticket = breaker.allows(now)
    assert ticket is not None
    return breaker.spent(ticket, now)


def test_spent_credit_opens_it_at_once_is_news_once_and_is_probed_ever_more_slowly() -> None:
    breaker, now, lasted = Breaker(RULES), 100.0, []
    assert spent(breaker, now)
    for _ in range(6):
        again = breaker.opens_again_at(now)
        assert again is not None
        lasted.append(again - now)
        now = again
        assert not spent(breaker, now)
        assert breaker.is_spent
    assert lasted == [60, 120, 240, 480, 600, 600]


def test_spent_credit_is_forgotten_once_the_provider_answers() -> None:
    breaker = Breaker(RULES)
    assert spent(breaker, 100.0)
    for _ in range(RULES.probes):
        called(breaker, 160.0, well=True)
    assert breaker.state(160.0) == "closed"
    assert not breaker.is_spent
    assert spent(breaker, 161.0)
    assert breaker.opens_again_at(161.0) == 161.0 + RULES.spent_s


def test_many_calls_that_find_the_credit_spent_are_one_piece_of_news() -> None:
    breaker = Breaker(RULES)
    tickets = [breaker.allows(100.0) for _ in range(5)]
    told = [breaker.spent(ticket, 100.5) for ticket in tickets if ticket is not None]
    assert told == [True, False, False, False, False]
