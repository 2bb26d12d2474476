"""What an audit says of money, against an oracle: nothing left out, nothing counted twice."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.core.dedupe import home_partition
from broker.records.calls import encode_call
from broker.records.completion import encode_completion
from broker.story.asked import Asked
from broker.story.audit import Audit
from broker.story.lines import call_line, completion_line
from tests.story.seeding import call_of, completion_of

PARTITIONS = 3
BEGAN = 1_700_000_000.0


@dataclass(frozen=True)
class Ended:
    """One call of a prompt; `outcome` None is a call that was killed."""

    outcome: str | None
    cents: int | None

    @property
    def usd(self) -> float | None:
        return None if self.cents is None else self.cents / 100


ends = st.builds(
    Ended,
    st.sampled_from(("ok", "retry", "move", "stop", None)),
    st.none() | st.integers(0, 50),
)


def audited(prompts: Mapping[str, Sequence[Ended]], **status: str) -> dict[str, Any]:
    """The figures of prompts with these calls; each has a completion, unless its status is ``."""
    audit = Audit(partitions=PARTITIONS, window_s=3_600.0)
    for name in prompts:
        audit.prompt(Asked(name, True, BEGAN), home_partition(name, PARTITIONS), BEGAN)
    for name in prompts:
        told = status.get(name, "succeeded")
        if told:
            one = completion_of(name, BEGAN, status=told)
            audit.completion(completion_line(encode_completion(one)))
    for name, calls in prompts.items():
        for number, call in enumerate(calls, 1):
            audit.call(call_line(encode_call(call_of(name, number, BEGAN))))
            if call.outcome is None:
                continue
            given: dict[str, Any] = {"outcome": call.outcome, "cost_usd": call.usd}
            ended = call_of(name, number, BEGAN, ended=True, **given)
            audit.call(call_line(encode_call(ended)))
    return audit.figures(BEGAN + 10, 60.0).counts


@settings(deadline=None, max_examples=150)
@given(chosen=st.lists(st.lists(ends, max_size=6), max_size=8), seed=st.integers(0, 99))
def test_the_bill_is_that_of_an_oracle(chosen: list[list[Ended]], seed: int) -> None:
    prompts = {f"p{number}": calls for number, calls in enumerate(chosen)}
    kinds = ("succeeded", "refused", "failed")
    chance = random.Random(seed)
    status = {name: chance.choice(kinds) for name in prompts}
    total = repeats = 0
    unknown = killed = 0
    for name, calls in prompts.items():
        wanted = ("ok", "stop") if status[name] == "refused" else ("ok",)
        useful = next((call for call in calls if call.outcome in wanted), None)
        killed += sum(call.outcome is None for call in calls)
        for call in calls:
            if call.outcome is None:
                continue
            unknown += call.cents is None
            total += call.cents or 0
            repeats += 0 if call is useful else call.cents or 0
    found = audited(prompts, **status)
    assert (found["cost_usd"] or 0.0) == pytest.approx(total / 100)
    assert (found["repeats_cost_usd"] or 0.0) == pytest.approx(repeats / 100)
    assert (found["calls_of_unknown_cost"], found["calls_without_end"]) == (unknown, killed)
    by_provider = sum(one["cost_usd"] or 0.0 for one in found["providers"].values())
    assert by_provider == pytest.approx(total / 100)


def test_a_call_that_is_under_way_is_not_called_cut_off() -> None:
    running = {"busy": [Ended(None, None)], "again": [Ended(None, None), Ended(None, None)]}
    found = audited(running, busy="", again="")
    assert (found["pending"], found["calls_without_end"]) == (2, 1)


def test_without_any_price_the_cost_is_unknown_not_nothing() -> None:
    found = audited({"p": [Ended("retry", 0), Ended("ok", None)]})
    assert found["cost_usd"] is None
    assert found["repeats_cost_usd"] == 0.0
    assert audited({})["cost_usd"] == 0.0
