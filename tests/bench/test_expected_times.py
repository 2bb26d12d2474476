"""How `eta_within` is counted, and the load that it is measured under."""

import pytest

from broker.bench.expected_times import LOAD, PROVIDERS, SLOTS, Came, plan_of, service_s
from broker.bench.failing import MeasurementFailedError
from broker.records.progress import ProgressRecord
from tests.story.seeding import completion_of

T = 1_764_000_000.0


def said(identity: str, low: float, high: float) -> ProgressRecord:
    return ProgressRecord(
        id=identity,
        tenant="t",
        provider="p",
        worker="w",
        lane="light",
        state="waiting",
        place=0,
        starts_at=(T, T),
        ends_at=(T + low, T + high),
        at=T,
    )


def test_each_word_counts_against_the_prompt_s_real_end() -> None:
    ended = {name: completion_of(name, T, ms) for name, ms in (("a", 5_000.0), ("b", 9_000.0))}
    words = [said("a", 4, 6), said("a", 5, 5), said("b", 1, 8), said("b", 9.5, 20)]
    assert Came(words, ended).share() == 0.5


def test_words_about_nobody_who_ended_are_no_figure() -> None:
    with pytest.raises(MeasurementFailedError):
        Came([said("a", 4, 6)], {}).share()


def test_the_load_is_just_below_what_all_clouds_can_serve() -> None:
    plan = plan_of(200)
    room = sum(
        SLOTS * len(plan) / sum(service_s(prompt, cloud) for prompt in plan)
        for cloud in PROVIDERS.values()
    )
    assert len(plan) / plan[-1].due_s == pytest.approx(LOAD * room, rel=0.05)
