"""A replay: each prompt ends once, the same seed has the same end, no decision knows the end."""

from dataclasses import replace

import pytest

from broker.core.lanes import LANES
from broker.records.completion import STATUSES
from broker.simulate.figures import figures_of
from broker.simulate.outages import with_outages
from broker.simulate.outcome import PENDING, EndedTwiceError, Outcome
from tests.simulate.made import asked, asked_often, replayed, settings_of

FAULTS = {
    "rate_limited": 0.05,
    "server_errors": 0.05,
    "cuts": 0.05,
    "malformed": 0.02,
    "refused": 0.02,
    "hangs": 0.01,
    "filtered": 0.01,
    "spent": 0.001,
}


def faulty(**more: object) -> "dict[str, object]":
    cloud = {"slots": 4, "queue": 1, "per_token_s": 0.01, "faults": FAULTS, **more}
    return {"clouds": {"azure": cloud, "google": cloud}}


@pytest.mark.parametrize("seed", range(3))
def test_every_prompt_ends_once_whatever_goes_wrong(seed: int) -> None:
    settings = with_outages(settings_of(simulator=faulty()), ["azure:10-25", "google:20-40"])
    prompts = asked_often(300, seed=seed)
    outcome = replayed(settings, prompts, seed=seed)
    assert PENDING not in outcome.status
    figures = figures_of(outcome)
    assert sum(figures.statuses.values()) == len(prompts)
    assert sum(figures.refusals.values()) == len(prompts) - figures.latency.count
    assert figures.calls >= figures.latency.count
    assert figures.moves == sum(figures.moved.values()) > 0
    assert sum(one.count for one in figures.lanes.values()) == figures.latency.count
    assert sum(one.count for one in figures.tenants.values()) == figures.latency.count
    assert sum(one.count for one in figures.line) == figures.latency.count
    assert all(ended >= came for came, ended in zip(outcome.came, outcome.ended, strict=True))


def test_a_second_end_of_a_prompt_is_a_defect_that_is_told() -> None:
    outcome = Outcome((asked(0, 0.0),), ("azure",), 0.0)
    outcome.end(0, "succeeded", "", 1.0, lane="light", provider="azure")
    with pytest.raises(EndedTwiceError):
        outcome.end(0, "failed", "x", 2.0)


def test_the_same_seed_has_the_same_end_and_another_one_another() -> None:
    prompts, settings = asked_often(300), settings_of(simulator=faulty())
    one, same = (replayed(settings, prompts, seed=7) for _ in range(2))
    assert (one.status, one.provider, one.lane) == (same.status, same.provider, same.lane)
    assert one.ended.tobytes() == same.ended.tobytes()
    assert one.cost.tobytes() == same.cost.tobytes()
    assert (one.calls, one.codes, one.moved) == (same.calls, same.codes, same.moved)
    seeded = settings_of(simulator={**faulty(), "seed": 99})
    assert replayed(seeded, prompts).ended != one.ended


def test_how_long_an_answer_is_changes_no_decision_before_it_has_ended() -> None:
    """All prompts come before the first answer: neither lane, weight nor provider may differ."""
    prompts = [asked(number, number / 100, tokens_in=50 * number + 20) for number in range(120)]
    long = [replace(one, output_tokens=3 * (number + 1)) for number, one in enumerate(prompts)]
    settings = settings_of(
        simulator={"clouds": {"azure": {"first_token_s": 9.0}, "google": {"first_token_s": 9.0}}},
        routing={"max_moves": 0},
    )
    first, second = replayed(settings, prompts), replayed(settings, long)
    assert first.lane == second.lane
    assert first.provider == second.provider
    assert first.reasons == second.reasons
    assert first.ended != second.ended


def test_what_an_answer_is_like_is_learned_from_it_once_it_came() -> None:
    prompts = [asked(n, n * 2.0, tokens_out=900, tokens_in=300) for n in range(100)]
    learned = replayed(settings_of(), prompts)
    fixed = replayed(settings_of(lengths={"learn": False}), prompts)
    assert {LANES[lane] for lane in fixed.lane} == {"light"}
    assert LANES[learned.lane[-1]] == "medium"


def test_thresholds_follow_the_traffic_where_they_are_to() -> None:
    prompts = asked_often(1_200, rate=5.0)
    counted = [
        [replayed(settings_of(lanes={"mode": mode}), prompts).lane.count(0)]
        for mode in ("fixed", "auto", "auto")
    ]
    assert counted[1] == counted[2] != counted[0]


def test_an_own_maximum_cuts_the_recorded_answer_and_is_no_secret() -> None:
    given = {"max_output_tokens": 20}
    short = replayed(settings_of(), [asked(0, 0.0, tokens_out=800, fields=given)])
    whole = replayed(settings_of(), [asked(0, 0.0, tokens_out=800)])
    assert short.ended[0] < whole.ended[0] / 3


def test_a_deadline_that_passes_ends_a_prompt_as_expired_at_that_moment() -> None:
    prompts = [asked(n, 0.0, tokens_out=2_000, deadline_s=5.0) for n in range(12)]
    outcome = replayed(settings_of(), prompts)
    assert {STATUSES[one] for one in outcome.status} == {"expired"}
    assert all(4.9 < ended < 5.1 for ended in outcome.ended)
    assert outcome.codes == {"deadline_passed": 12}


def test_a_cloud_that_is_down_is_left_and_comes_back() -> None:
    settings = with_outages(settings_of(), ["azure:20-60"])
    prompts = asked_often(600)
    outcome = replayed(settings, prompts)
    at_azure = [
        (came, ended)
        for came, ended, provider in zip(outcome.came, outcome.ended, outcome.provider, strict=True)
        if provider == 0
    ]
    assert not [came for came, ended in at_azure if came > 20.0 and ended < 60.0]
    assert [came for came, _ in at_azure if came > 62.0]
    assert outcome.moved["azure", "google"] > 0


def test_a_tenant_over_its_limit_is_refused_with_the_code() -> None:
    limits = {"red": {"requests_per_minute": 3, "max_wait_s": 0}}
    prompts = [asked(n, n * 0.1, tenant="red" if n % 2 else "green") for n in range(40)]
    outcome = replayed(settings_of(tenants=limits), prompts)
    figures = figures_of(outcome)
    assert figures.refusals == {"rate_limited": 17}
    assert figures.tenants["green"].count == 20
    assert figures.tenants["red"].count == 3


def test_what_a_prompt_did_not_use_is_given_back_to_its_tenant() -> None:
    """Each is charged 280 tokens and uses 110: of 30 in a minute not 10 go in, but 25 or so."""
    limits = {"red": {"tokens_per_minute": 3_000, "max_wait_s": 0}}
    prompts = [asked(n, n * 2.0, tenant="red", tokens_in=100, tokens_out=10) for n in range(60)]
    given = settings_of(tenants=limits, lengths={"learn": False})
    assert 48 <= figures_of(replayed(given, prompts)).latency.count <= 54


def test_a_replay_of_nothing_has_no_figures() -> None:
    figures = figures_of(replayed(settings_of(), []))
    assert (figures.prompts, figures.latency.p95, figures.statuses) == (0, None, {})
