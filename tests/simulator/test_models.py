"""The pure parts: chance, latency, faults, counts."""

import math
from datetime import UTC, datetime
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from broker.records.errors import UsageError
from broker.settings import load_settings
from broker.settings.simulated import FAULT_RATES, CloudSettings, FaultSettings, OutageSettings
from workers.simulator.draws import draw, normal
from workers.simulator.faults import Fault, FaultPlan, window_of
from workers.simulator.latency import LatencyModel, answer_length, latency_model
from workers.simulator.served import Served

NOW = 1_700_000_000.0
SHARES = st.floats(0.0, 1.0 / len(FAULT_RATES))


def test_draws_hang_on_names_alone_and_are_spread_evenly() -> None:
    assert draw(1, "openai", "a", 1) == draw(1, "openai", "a", 1)
    others = [draw(2, "openai", "a", 1), draw(1, "azure", "a", 1), draw(1, "openai", "a", 2)]
    assert len({draw(1, "openai", "a", 1), *others}) == 4
    numbers = [number for call in range(2_000) for number in draw(7, "cloud", call)]
    assert all(0.0 < number < 1.0 for number in numbers)
    tenths = [sum(int(number * 10) == tenth for number in numbers) for tenth in range(10)]
    assert max(tenths) - min(tenths) < len(numbers) * 0.02


@settings(deadline=None)
@given(st.lists(st.text(), min_size=1, max_size=4))
def test_no_name_breaks_a_draw(names: list[str]) -> None:
    assert all(math.isfinite(normal(number)) for number in draw(*names, "\ud800"))


def test_latencies_have_the_median_and_the_spread_that_are_set() -> None:
    model = LatencyModel(0.4, 0.0001, 0.02, 0.3)
    calls = [model.timing(1_000, *draw(3, call)[:2]) for call in range(4_000)]
    firsts = [call.first_token_s for call in calls]
    assert median(firsts) == pytest.approx(0.5, rel=0.04)
    assert median(call.per_token_s for call in calls) == pytest.approx(0.02, rel=0.04)
    logs = [math.log(first / 0.5) for first in firsts]
    assert math.sqrt(sum(log * log for log in logs) / len(logs)) == pytest.approx(0.3, rel=0.06)


@settings(deadline=None)
@given(
    st.integers(1, 100_000),
    st.integers(0, 100_000),
    st.floats(1e-9, 1 - 1e-9),
    st.floats(1e-9, 1 - 1e-9),
)
def test_tokens_come_in_time_and_no_earlier(
    tokens: int, input_tokens: int, first: float, each: float
) -> None:
    timing = LatencyModel(0.3, 1e-5, 0.01, 0.5).timing(input_tokens, first, each)
    assert timing.tokens_at(timing.first_token_s * 0.999) == 0
    assert timing.tokens_at(timing.until(tokens) * (1 + 1e-9)) >= tokens - 0.01
    assert timing.tokens_at(timing.until(tokens) * (1 - 1e-6)) < tokens + 0.01


def test_speed_divides_every_latency_and_fast_takes_none() -> None:
    cloud = CloudSettings(first_token_s=1.0, per_token_s=0.1, per_input_token_s=0.01, spread=0.0)
    timing = latency_model(cloud, 10.0, fast=False).timing(100, 0.5, 0.5)
    assert timing.first_token_s == pytest.approx(0.2)
    assert timing.per_token_s == pytest.approx(0.01)
    at_once = latency_model(cloud, 1.0, fast=True).timing(100, 0.5, 0.5)
    assert at_once.until(10_000) == 0.0


@settings(deadline=None)
@given(st.floats(1e-12, 1 - 1e-12))
def test_lengths_nobody_asked_for_stay_in_bounds(number: float) -> None:
    assert 2 <= answer_length(160, 0.6, 1_000, number) <= 1_000


def test_lengths_nobody_asked_for_are_around_the_median() -> None:
    lengths = [answer_length(160, 0.6, 10_000, draw(call)[0]) for call in range(2_000)]
    assert median(lengths) == pytest.approx(160, rel=0.06)
    assert len(set(lengths)) > 200


@settings(deadline=None)
@given(st.fixed_dictionaries(dict.fromkeys(FAULT_RATES, SHARES)), st.floats(0.0, 1.0))
def test_every_fault_has_its_share_of_the_numbers(rates: dict[str, float], number: float) -> None:
    plan = FaultPlan(FaultSettings.model_validate(rates), NOW)
    upper = 0.0
    expected = None
    for name in FAULT_RATES:
        upper += rates[name]
        if rates[name] > 0 and number < upper:
            expected = Fault(name)
            break
    assert plan.choose(number, NOW) is expected


def test_the_shares_of_many_calls_are_the_rates() -> None:
    plan = FaultPlan(FaultSettings(rate_limited=0.2, cuts=0.1, too_long=0.05), NOW)
    met = [plan.choose(draw(5, "google", None, call)[0], NOW) for call in range(10_000)]
    for fault, rate in ((Fault.RATE_LIMITED, 0.2), (Fault.CUTS, 0.1), (Fault.TOO_LONG, 0.05)):
        assert met.count(fault) / len(met) == pytest.approx(rate, abs=0.015)
    assert met.count(None) / len(met) == pytest.approx(0.65, abs=0.015)


def test_rates_above_one_together_are_refused() -> None:
    with pytest.raises(ValidationError, match="together above 1"):
        FaultSettings(cuts=0.6, slow=0.5)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"to_s": 3.0, "from_s": 3.0},
        {"to_s": 3.0, "ends_at": "2026-11-26T10:00:00Z"},
        {"ends_at": "2026-11-26T10:00:00Z", "starts_at": "2026-11-26T10:00:00Z"},
        {"ends_at": "2026-11-26T10:00:00"},
    ],
)
def test_an_outage_that_says_no_span_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        OutageSettings.model_validate(wrong)


def test_an_outage_goes_before_all_else_and_ends_on_time() -> None:
    faults = FaultSettings(rate_limited=1.0, outages=(OutageSettings(from_s=5, to_s=8),))
    plan = FaultPlan(faults, NOW)
    during = [plan.choose(0.5, NOW + after) for after in (0.0, 4.99, 5.0, 7.99, 8.0)]
    limited, down = Fault.RATE_LIMITED, Fault.OUTAGE
    assert during == [limited, limited, down, down, limited]


def test_an_outage_in_absolute_time() -> None:
    begins, ends = (datetime.fromtimestamp(NOW + after, UTC) for after in (10, 20))
    window = window_of(OutageSettings(starts_at=begins, ends_at=ends), NOW)
    assert (window.begins, window.ends) == (NOW + 10, NOW + 20)
    assert window_of(OutageSettings(ends_at=ends), NOW).begins == NOW


def test_changing_one_fault_keeps_the_others_and_the_outage_under_way() -> None:
    plan = FaultPlan(FaultSettings(cuts=0.1, outages=(OutageSettings(to_s=10),)), NOW)
    later = plan.changed({"slow": 0.2}, NOW + 4)
    assert (later.settings.cuts, later.settings.slow) == (0.1, 0.2)
    assert later.is_down(NOW + 9.9)
    assert not later.is_down(NOW + 10.1)
    assert later.changed({}, NOW + 11).described(NOW + 11)["outages"] == []
    assert not later.changed({"outages": []}, NOW + 5).is_down(NOW + 5)


def test_an_outage_takes_the_form_that_is_set() -> None:
    forms: dict[str, Fault] = {
        "error": Fault.OUTAGE,
        "cut": Fault.OUTAGE_CUT,
        "hang": Fault.OUTAGE_HANG,
    }
    for form, fault in forms.items():
        faults = FaultSettings.model_validate({"outages": [{"to_s": 5}], "outage_as": form})
        assert FaultPlan(faults, NOW).choose(0.5, NOW) is fault


def test_counts_by_id_are_bounded_and_forget_the_oldest() -> None:
    served = Served(remember_ids=3)
    numbers = [served.begin(name) for name in ("a", "b", "a", "c", "d")]
    assert numbers == [1, 1, 2, 1, 1]
    served.answer("b", 10, 20)
    served.answer("a", 10, 20)
    assert served.by_id() == {
        "b": {"begun": 1, "answered": 1},
        "c": {"begun": 1, "answered": 0},
        "d": {"begun": 1, "answered": 0},
    }
    totals = served.totals()
    assert (totals["requests"], totals["answered"], totals["forgotten_ids"]) == (5, 2, 1)
    assert (totals["open"], totals["peak"]) == (5, 5)


def test_a_reset_keeps_what_is_under_way_open() -> None:
    served = Served(remember_ids=3)
    served.begin("a")
    served.reset()
    served.end("ok")
    assert served.totals()["open"] == 0
    assert served.of_id("a") == {"begun": 0, "answered": 0}


def test_a_cloud_that_is_set_in_part_keeps_its_own_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    own = load_settings().simulator.clouds
    assert own["google"].slots > own["openai"].slots
    monkeypatch.setenv("WEIGHBRIDGE_SIMULATOR__CLOUDS__GOOGLE__QUEUE", "7")
    changed = load_settings().simulator.clouds
    assert changed["google"] == own["google"].model_copy(update={"queue": 7})
    assert changed["openai"] == own["openai"]
    with pytest.raises(UsageError, match=r"simulator\.clouds\.google\.slots"):
        load_settings(simulator={"clouds": {"google": {"slots": 0}}})
