"""The plan of a replay: order, counts, tokens and lanes, whatever its length and speed."""

import orjson
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from splintr import Tokenizer

from broker.classifier.tokens import token_counter
from broker.core.lanes import lane_for
from broker.core.weighing import Equivalents, content_of, expected_output, own_maximum, weigh
from broker.load.replay import TENANTS, DuePrompt, plan_replay
from broker.load.texts import ENCODING
from broker.load.traces import load_trace
from broker.records.errors import UsageError
from broker.records.incoming import InputRecord
from broker.records.parsing import parse_prompt
from broker.records.prompt import Prompt
from broker.settings import load_settings

COUNT = token_counter(32_768)


def lane_of(prompt: DuePrompt) -> str:
    """As the classifier finds it, with the default settings."""
    made, given_ = load_settings(), Equivalents()
    content = content_of(prompt.fields, given_)
    tokens = COUNT(content.texts)[0] + content.extra_tokens
    output = expected_output(prompt.fields, "chat", tokens, given_)
    return lane_for(weigh(tokens, output, made.lanes.output_factor), "standard", made.lane_plan())


@examples(max_examples=25, deadline=None)
@given(
    prompts=st.integers(1, 150),
    speed=st.floats(0.1, 1_000),
    seed=st.integers(0, 1_000),
    every=st.none() | st.integers(1, 40),
)
def test_order_counts_and_due_times(
    prompts: int, speed: float, seed: int, every: int | None
) -> None:
    plan = plan_replay(prompts, speed, seed=seed, heavy_every=every)
    recorded = load_trace()[:prompts]
    assert len(plan) == prompts
    assert len({prompt.id for prompt in plan}) == prompts
    for prompt, request in zip(plan, recorded, strict=True):
        assert prompt.due_s == pytest.approx(request.at_s / speed)
        assert prompt.fields["simulated_output_tokens"] == request.output_tokens
        assert own_maximum(prompt.fields) is None
        assert prompt.tenant == prompt.fields["tenant"] == TENANTS[request.source]
        assert prompt.input_tokens >= request.input_tokens
        if prompt.joined == 1:
            assert prompt.input_tokens == request.input_tokens
    if every is None:
        assert {prompt.joined for prompt in plan} == {1}


def test_texts_have_the_tokens_of_the_trace() -> None:
    vocabulary = Tokenizer.from_pretrained(ENCODING)
    for prompt in plan_replay(200):
        assert len(vocabulary.encode_ordinary(prompt.fields["prompt"])) == prompt.input_tokens


@pytest.mark.parametrize("prompts", [30, 100, 600])
def test_all_lanes_are_used_with_the_default_thresholds(prompts: int) -> None:
    plan = plan_replay(prompts)
    lanes = [lane_of(prompt) for prompt in plan]
    assert {"light", "medium", "heavy"} == set(lanes)
    assert lanes.count("heavy") >= prompts // 20
    assert all(lane == "heavy" for lane, one in zip(lanes, plan, strict=True) if one.joined > 1)


def test_a_trace_that_is_too_short_begins_again_later() -> None:
    plan = plan_replay(3_100, 10.0, heavy_every=None)
    due = [prompt.due_s for prompt in plan]
    assert due == sorted(due)
    assert plan[3_000].output_tokens == plan[0].output_tokens
    assert plan[3_000].due_s > plan[2_999].due_s
    assert len({prompt.id for prompt in plan}) == 3_100


def test_every_prompt_is_one_that_the_broker_takes() -> None:
    catalog = load_settings().catalog()
    for prompt in plan_replay(50, run="run-7"):
        value = orjson.dumps({"id": prompt.id, **prompt.fields})
        parsed = parse_prompt(InputRecord("llm.prompts", 0, 0, 0.0, None, value), catalog)
        assert isinstance(parsed, Prompt)
        assert parsed.id == prompt.id
        assert prompt.id.startswith("run-7-")


@pytest.mark.parametrize(("prompts", "speed"), [(0, 1.0), (5, 0.0), (5, -1.0)])
def test_a_replay_of_nothing_is_refused(prompts: int, speed: float) -> None:
    with pytest.raises(UsageError, match="cannot be made"):
        plan_replay(prompts, speed)
