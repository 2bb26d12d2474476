"""What a call cost: from its provider's counts, from ours, or honestly unknown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.call_costs import EndedCall, Spent, spent_by
from broker.core.prices import FREE, NOT_KNOWN, NOTHING, UNKNOWN, Cost, Prices
from broker.core.retries import Transport
from broker.records.usage import Usage

TWO = Prices(1.0, 2.0, 0.1)
costs = st.builds(
    Cost,
    st.none() | st.sampled_from((0.0, 0.25, 1.5)),
    st.booleans(),
)


def call(usage: Usage | None = None, **given: object) -> EndedCall:
    return EndedCall(usage or Usage(), 100, **given)  # type: ignore[arg-type]  # fields by name


def told(spent: Spent) -> tuple[float | None, bool]:
    return spent.cost.usd, spent.cost.estimated


class TestPrices:
    def test_cached_input_costs_its_own_price_and_thoughts_are_output(self) -> None:
        usage = Usage(1_000_000, 500_000, cached_input_tokens=400_000, reasoning_tokens=300_000)
        assert TWO.cost(usage) == pytest.approx(0.6 + 0.04 + 1.0)

    def test_cached_input_without_a_price_of_its_own_is_not_free(self) -> None:
        assert Prices(1.0, 2.0).cost(Usage(1_000_000, 0, 1_000_000)) == 1.0

    @pytest.mark.parametrize("prices", [UNKNOWN, Prices(1.0), Prices(output=1.0)])
    def test_a_cost_without_all_its_prices_is_unknown_not_a_part(self, prices: Prices) -> None:
        assert prices.cost(Usage(7, 5)) is None

    def test_embeddings_need_no_price_of_output(self) -> None:
        assert Prices(0.02).cost(Usage(1_000_000, 0)) == 0.02

    def test_pictures_are_paid_for_once_by_tokens_or_by_the_piece(self) -> None:
        by_tokens = Prices(5.0, 40.0)
        assert by_tokens.cost(Usage(0, 1_000_000, images=2)) == 40.0
        assert Prices(0.0, image=0.04).cost(Usage(7, None, images=2)) == 0.08
        assert by_tokens.cost(Usage(7, None, images=2)) is None

    def test_a_long_prompt_has_the_long_price_for_all_of_it(self) -> None:
        prices = Prices(2.0, 12.0, long_above=200_000, long=Prices(4.0, 18.0))
        assert prices.cost(Usage(200_000, 0)) == 0.4
        assert prices.cost(Usage(300_000, 1_000)) == pytest.approx(1.2 + 0.018)


class TestCalls:
    def test_an_answer_costs_what_its_provider_counted(self) -> None:
        assert told(spent_by(call(Usage(10, 5), answered=True), TWO)) == (20e-6, False)

    def test_what_the_usage_leaves_out_is_counted_here_and_said(self) -> None:
        spent = spent_by(call(Usage(None, 5), answered=True), TWO)
        assert (told(spent), spent.usage) == ((110e-6, True), Usage(100, 5))
        spent = spent_by(call(answered=True, received_tokens=30), TWO)
        assert (told(spent), spent.usage) == ((160e-6, True), Usage(100, 30))

    def test_a_stream_that_was_cut_costs_what_had_come(self) -> None:
        cut = call(received_tokens=30, transport=Transport.STREAM_CUT, status=200)
        assert told(spent_by(cut, TWO)) == (160e-6, True)

    def test_a_usage_told_before_the_cut_goes_before_our_count(self) -> None:
        cut = call(Usage(90, 20), received_tokens=30, transport=Transport.STREAM_CUT, status=200)
        assert told(spent_by(cut, TWO)) == (130e-6, True)

    def test_a_usage_of_the_prompt_only_does_not_make_the_answer_free(self) -> None:
        cut = call(Usage(90, 0), received_tokens=30, transport=Transport.STREAM_CUT, status=200)
        assert told(spent_by(cut, TWO)) == (150e-6, True)

    @pytest.mark.parametrize("status", [302, 400, 401, 429, 500, 503])
    def test_an_error_costs_nothing(self, status: int) -> None:
        assert spent_by(call(status=status, code="x"), UNKNOWN).cost == NOTHING

    def test_nor_does_a_connection_that_was_never_made_or_a_call_never_sent(self) -> None:
        assert spent_by(call(transport=Transport.CONNECT), TWO).cost == NOTHING
        assert spent_by(call(sent=False), TWO).cost == NOTHING

    @pytest.mark.parametrize(
        "transport", [Transport.CUT, Transport.FIRST_BYTE_TIMEOUT, Transport.TOTAL_TIMEOUT]
    )
    def test_what_was_lost_on_the_way_may_be_billed_so_it_is_unknown(
        self, transport: Transport
    ) -> None:
        assert spent_by(call(transport=transport), TWO).cost == NOT_KNOWN
        assert spent_by(call(transport=transport), FREE).cost == NOTHING

    def test_so_is_a_timeout_that_the_provider_tells_of(self) -> None:
        assert spent_by(call(status=408), TWO).cost == NOT_KNOWN

    def test_a_prompt_that_a_filter_stopped_may_be_billed_for_its_input(self) -> None:
        stopped = call(status=400, code="content_filter")
        assert told(spent_by(stopped, TWO)) == (100e-6, True)
        assert spent_by(stopped, UNKNOWN).cost == NOT_KNOWN

    def test_capacity_by_the_hour_costs_nothing_more_and_nothing_is_estimated(self) -> None:
        assert spent_by(call(received_tokens=30, status=200), FREE).cost == NOTHING

    def test_without_prices_an_answer_keeps_its_usage(self) -> None:
        spent = spent_by(call(Usage(10, 5), answered=True), UNKNOWN)
        assert (spent.cost, spent.usage) == (NOT_KNOWN, Usage(10, 5))


class TestSums:
    def test_what_is_unknown_beside_what_is_known_makes_an_estimate(self) -> None:
        assert NOT_KNOWN.plus(Cost(0.5)) == Cost(0.5, estimated=True)
        assert NOTHING.plus(NOT_KNOWN) == NOT_KNOWN
        assert Cost(0.5).plus(Cost(0.25, estimated=True)) == Cost(0.75, estimated=True)

    @given(a=costs, b=costs)
    def test_the_order_does_not_matter(self, a: Cost, b: Cost) -> None:
        assert a.plus(b) == b.plus(a)

    @given(parts=st.lists(costs, max_size=6))
    def test_nothing_known_is_ever_left_out(self, parts: list[Cost]) -> None:
        total = NOTHING
        for part in parts:
            total = total.plus(part)
        assert (total.usd or 0.0) == pytest.approx(sum(part.usd or 0.0 for part in parts))
