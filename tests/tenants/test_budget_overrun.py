"""By how much a budget is passed when answers are longer than expected: the bound, and measured."""

import heapq
import random
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.classifier.door import Admitted
from broker.classifier.tenant_books import TenantBooks
from broker.classifier.tenant_costs import ExpectedCosts
from broker.classifier.tenant_door import TenantDoor
from broker.classifier.weighing import Weighed
from broker.core.output_length import Answered, OutputLengths
from broker.core.tenant_limits import TenantLimits, TenantTerms
from broker.load.traces.requests import Source as Trace
from broker.load.traces.requests import load_trace
from broker.records.incoming import Source
from broker.records.prompt import Prompt
from broker.records.tenants import Charged, Entry

NOW = 1_795_000_000.0
SERIES = ("acme", "chat-small", "chat")
STATED = 0.02


class Spending:
    """One tenant's budget of tokens a day, spent through the door of one classifier."""

    def __init__(self, tokens: float) -> None:
        terms = TenantTerms({"acme": TenantLimits(day=(None, tokens, None))})
        self.books = TenantBooks(1, terms)
        self.books.owns(frozenset({0}))
        self.books.read(0, self.books.claim)
        self.door = TenantDoor("llm.tenants", self.books, ExpectedCosts({}, lambda _: None))
        self.charged = 0.0
        self._asked = 0

    def ask(self, given: int, expected: int, own: int | None = None) -> Charged | None:
        """A prompt of so many tokens comes; what it is charged, None when it is refused."""
        self._asked += 1
        fields = {} if own is None else {"max_output_tokens": own}
        prompt = Prompt(
            id=f"p-{self._asked}",
            tenant="acme",
            kind="chat",
            model="chat-small",
            priority="standard",
            provider=None,
            deadline=None,
            stream=False,
            accepted_at=NOW,
            source=Source(0, self._asked),
            reply_partition=None,
            explicit_id=True,
            fields=fields,
            metadata={},
        )
        weighed = Weighed(given, "counted", expected, "", given + expected, "light")
        admitted = self.door.admit(prompt, weighed, NOW)
        if not isinstance(admitted, Admitted):
            return None
        self.door.routed(prompt, weighed, admitted, NOW)
        assert admitted.charged is not None
        self.charged += admitted.charged.tokens
        return admitted.charged

    def end(self, charged: Charged, used: int) -> None:
        """It ends, and used so many tokens."""
        more = used - charged.tokens
        self.charged += more
        at = self.books.position
        self.books.read(at, Entry("acme", "correction", 0, charged.at, 0.0, more, 0.0))


@given(
    st.integers(100, 20_000),
    st.lists(
        st.tuples(
            st.integers(0, 500),
            st.integers(1, 500),
            st.integers(1, 4_000),
            st.booleans(),
            st.integers(0, 6),
        ),
        max_size=80,
    ),
)
def test_only_what_is_under_way_passes_a_budget_and_by_no_more_than_it_was_undercharged(
    budget: int, asked: list[tuple[int, int, int, bool, int]]
) -> None:
    spending, under_way = Spending(budget), list[tuple[Charged, int]]()
    bound = 0.0
    for given_in, expected, real, has_own, ended in asked:
        own = max(expected, real) if has_own else None
        charged = spending.ask(given_in, expected, own)
        if charged is not None:
            under_way.append((charged, given_in + real))
            assert spending.charged <= budget * (1 + 1e-6)
            bound = sum(max(0, used - one.tokens) for one, used in under_way)
        for _ in range(min(ended, len(under_way))):
            spending.end(*under_way.pop(0))
    for one, used in under_way:
        spending.end(one, used)
    assert spending.charged <= budget + bound + 1e-6


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 2_000))
def test_near_its_end_a_budget_is_not_passed_by_what_says_its_own_maximum(
    given_in: int, expected: int, own: int
) -> None:
    spending = Spending(10_000)
    first = spending.ask(0, 9_100, 9_100)
    assert first is not None
    spending.end(first, 9_100)
    charged = spending.ask(given_in, min(expected, own), min(own, 2 * expected))
    if charged is not None:
        spending.end(charged, given_in + min(own, 2 * expected))
    assert spending.charged <= 10_000


@pytest.mark.parametrize("trace", ["conv", "code"])
def test_with_learned_lengths_a_small_budget_is_passed_by_less_than_2_percent(trace: Trace) -> None:
    requests = load_trace([trace])
    half = len(requests) // 2
    lengths = OutputLengths(0.8, 86_400.0, 100)
    for one in requests[:half]:
        lengths.learn(Answered(*SERIES, one.input_tokens, one.output_tokens, NOW))
    later = requests[half:]
    expected = [lengths.expected(SERIES, one.input_tokens, None, 256, NOW).tokens for one in later]
    usual = mean(one.input_tokens + one.output_tokens for one in later)
    for prompts, at_once in ((20, 5), (100, 5), (100, 50)):
        for seed in range(12):
            order = random.Random(seed).sample(range(len(later)), len(later))
            spending, time_s, refused = Spending(prompts * usual), 0.0, 0
            ends: list[tuple[float, int, Charged, int]] = []
            for place in order:
                time_s += 1.0 / at_once
                while ends and ends[0][0] <= time_s:
                    _, _, known, used = heapq.heappop(ends)
                    spending.end(known, used)
                one = later[place]
                charged = spending.ask(one.input_tokens, expected[place])
                refused += charged is None
                if refused > 100:
                    break
                if charged is not None:
                    lasts = one.output_tokens / mean(r.output_tokens for r in later[:50])
                    used = one.input_tokens + one.output_tokens
                    heapq.heappush(ends, (time_s + lasts, place, charged, used))
            for _, _, known, used in ends:
                spending.end(known, used)
            assert refused
            assert spending.charged <= prompts * usual * (1 + STATED), (prompts, at_once, seed)
            assert spending.charged >= prompts * usual * 0.8
