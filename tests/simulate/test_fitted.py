"""Models of providers from the journal: they find what the calls were made with."""

from random import Random

import pytest

from broker.records.calls import CallEvent
from broker.simulate.fitted import STEPS, fit_providers
from broker.simulate.line_fit import between, fit_line, quantiles, share_at

T0 = 1_700_000_000.0


def call(
    number: int,
    began: float,
    seconds: float,
    *,
    tokens: tuple[int, int] = (100, 100),
    outcome: str = "ok",
    status: int | None = 200,
    code: str | None = None,
    provider: str = "azure",
) -> CallEvent:
    return CallEvent(
        f"p{number}",
        "red",
        provider,
        "chat-small",
        1,
        "ended",
        T0 + began + seconds,
        outcome=outcome,  # type: ignore[arg-type]  # one of them
        http_status=status,
        code=code,
        ms=round(seconds * 1000),
        input_tokens=tokens[0],
        output_tokens=tokens[1],
    )


def many(count: int, *, rate: float = 1.0, seed: int = 1) -> list[CallEvent]:
    """0.4 s, 0.1 ms a token in, 12 ms a token out, a tenth off either way."""
    chance, calls = Random(seed), []
    for number in range(count):
        tokens = chance.randrange(50, 5_000), chance.randrange(2, 400)
        line = 0.4 + 0.0001 * tokens[0] + 0.012 * tokens[1]
        calls.append(call(number, number / rate, line * chance.uniform(0.9, 1.1), tokens=tokens))
    return calls


def test_a_line_is_found_again() -> None:
    fit = fit_providers(many(600))["azure"]
    base, per_in, per_out = fit.models["chat-small"].line
    assert base == pytest.approx(0.4, rel=0.05)
    assert per_in == pytest.approx(0.0001, rel=0.1)
    assert per_out == pytest.approx(0.012, rel=0.03)
    factors = fit.models["chat-small"].factors
    assert factors[STEPS // 2] == pytest.approx(1.0, abs=0.03)
    assert factors[0] == pytest.approx(0.9, abs=0.03)
    assert factors[-1] == pytest.approx(1.1, abs=0.03)
    assert (fit.calls, fit.slots, fit.failures, fit.outages) == (600, None, (), ())


def test_few_answers_stretch_the_line_of_all() -> None:
    slow = [
        call(1_000 + n, n, 2 * (0.4 + 0.0001 * 100 + 0.012 * out), tokens=(100, out), provider="b")
        for n, out in enumerate((10, 300, 80))
    ]
    fits = fit_providers(many(600) + slow)
    assert fits["b"].models["chat-small"].line[2] == pytest.approx(0.024, rel=0.1)


def test_places_are_found_where_calls_wait_for_each_other() -> None:
    """Eight places: of 24 calls at once, each takes three times as long."""
    calls, chance, at = [], Random(3), 0.0
    for number in range(1_200):
        at_once = 4 if number < 400 else 24
        seconds = 1.0 * max(1.0, at_once / 8) * chance.uniform(0.95, 1.05)
        at += seconds / at_once
        calls.append(call(number, at, seconds))
    fit = fit_providers(calls)["azure"]
    assert fit.slots == pytest.approx(8, abs=1)
    assert fit.models["chat-small"].line[0] < 1.3


def test_failures_in_a_row_are_an_outage_and_others_are_chance() -> None:
    calls = many(400)
    down = [
        call(9_000 + n, 100.2 + n, 0.01, outcome="retry", status=503, code=None) for n in range(20)
    ]
    odd = [
        call(9_500 + n, 200.4 + 7 * n, 0.02, outcome="retry", status=500, code="oops")
        for n in range(10)
    ]
    kept = [one for one in calls if not 100 <= one.at - (one.ms or 0) / 1000 - T0 < 120]
    fit = fit_providers(kept + down + odd)["azure"]
    assert len(fit.outages) == 1
    begins, ends = fit.outages[0]
    assert begins == pytest.approx(T0 + 100.2, abs=0.1)
    assert ends == pytest.approx(T0 + 120, abs=1.1)
    (failure,) = fit.failures
    assert (failure.status, failure.code) == (500, "oops")
    assert failure.share == pytest.approx(10 / 390, rel=0.05)


def test_ends_of_our_own_say_nothing_of_a_provider() -> None:
    ours = [call(n, n, 0.1, outcome="stop", status=None, code="given_up") for n in range(50)]
    assert fit_providers(ours) == {}


def test_the_luck_of_a_prompt_is_its_place_among_the_others() -> None:
    calls = many(200)
    fit = fit_providers(calls)["azure"]
    factors = fit.models["chat-small"].factors
    slow = max(fit.luck.values())
    assert slow == pytest.approx(1.0, abs=0.02)
    assert between(factors, slow) == pytest.approx(factors[-1], rel=0.02)


def test_a_share_and_its_value_are_each_other_s_inverse() -> None:
    marks = quantiles([Random(n).random() for n in range(300)], 100)
    for share in (0.0, 0.013, 0.5, 0.777, 1.0):
        assert share_at(marks, between(marks, share)) == pytest.approx(share, abs=1e-9)


def test_a_line_through_anything_is_never_negative() -> None:
    chance = Random(5)
    for _ in range(50):
        rows = [(1.0, chance.random() * 100, chance.random()) for _ in range(30)]
        seconds = [chance.random() for _ in rows]
        assert min(fit_line(rows, seconds)) >= 0
    assert fit_line([(1.0, 0.0, 0.0)] * 5, [2.0] * 5) == pytest.approx((2.0, 0.0, 0.0))
