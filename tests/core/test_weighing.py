import base64
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from splintr import Tokenizer

from broker.core.token_estimate import SAMPLE_CHARACTERS, estimate_tokens
from broker.core.weighing import (
    PER_MESSAGE,
    PER_PROMPT,
    Equivalents,
    content_of,
    expected_output,
    own_maximum,
    weigh,
)
from tests.core import sample_texts as texts

GIVEN = Equivalents()
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**30) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "text", "content", "role", "image_url", "detail", "dataref"]),
            inner,
        )
    ),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return Tokenizer.from_pretrained("o200k_base")


@pytest.mark.parametrize(
    ("text", "within"),
    [
        (texts.ENGLISH, 0.10),
        (texts.GERMAN, 0.20),
        (texts.CHINESE, 0.20),
        (texts.RUSSIAN, 0.25),
        (texts.CODE, 0.20),
        (texts.JSON, 0.20),
        (base64.b64encode(random.Random(2).randbytes(3000)).decode(), 0.20),
        (random.Random(3).randbytes(2000).hex(), 0.20),
        ("\n".join(f"{n},{n * n},{n / 7:.4f}" for n in range(400)), 0.25),
    ],
    ids=["english", "german", "chinese", "russian", "code", "json", "base64", "hex", "csv"],
)
@pytest.mark.parametrize("times", [1, 40], ids=["short", "sampled"])
def test_the_estimate_is_near_the_count(
    tokenizer: Any, text: str, within: float, times: int
) -> None:
    counted = len(tokenizer.encode_ordinary(text * times))
    assert estimate_tokens(text * times) == pytest.approx(counted, rel=within)


def test_a_mixed_document_is_sampled_all_over(tokenizer: Any) -> None:
    document = texts.ENGLISH * 30 + texts.CHINESE * 30 + texts.JSON * 30 + texts.CODE * 30
    assert len(document) > 4 * SAMPLE_CHARACTERS
    counted = len(tokenizer.encode_ordinary(document))
    assert estimate_tokens(document) == pytest.approx(counted, rel=0.2)


@given(st.text(max_size=300))
def test_an_estimate_is_a_number_of_tokens(text: str) -> None:
    assert 0 <= estimate_tokens(text) <= 2 * len(text.encode("utf-8", "replace")) + 1
    assert bool(estimate_tokens(text)) == bool(text)


def test_lone_surrogates_are_no_obstacle() -> None:
    assert estimate_tokens("\ud800 broken") > 0


def test_plain_prompts_and_messages_are_counted() -> None:
    assert content_of({"prompt": "hi"}, GIVEN).texts == ("hi",)
    content = content_of(
        {
            "messages": [
                {"role": "system", "content": "be kind"},
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "what is this?"},
                        {"type": "image_url", "image_url": {"url": "data:...", "detail": "low"}},
                        {"type": "image_url", "image_url": {"url": "data:..."}},
                        {"type": "input_audio", "input_audio": {"data": "..."}},
                    ],
                },
                {"role": "assistant", "content": None, "tool_calls": [{"id": "x"}]},
            ],
            "tools": [{"type": "function", "function": {"name": "f"}}],
        },
        GIVEN,
    )
    assert content.texts == (
        "be kind",
        "what is this?",
        '[{"id":"x"}]',
        '[{"type":"function","function":{"name":"f"}}]',
    )
    media = GIVEN.image_in_low + GIVEN.image_in + GIVEN.audio_in
    assert content.extra_tokens == PER_PROMPT + 3 * PER_MESSAGE + media
    assert content.characters == sum(map(len, content.texts))


def test_a_data_url_is_never_counted_as_text() -> None:
    picture = {"type": "input_image", "image_url": "data:image/png;base64," + "A" * 100_000}
    content = content_of({"input": [{"role": "user", "content": [picture, "look"]}]}, GIVEN)
    assert content.texts == ("look",)
    assert content.extra_tokens == PER_PROMPT + PER_MESSAGE + GIVEN.image_in


def test_embedding_inputs_are_counted_together() -> None:
    assert content_of({"input": ["a", "b"]}, GIVEN).texts == ("a", "b")


def test_tokens_are_counted_as_tokens() -> None:
    for inputs, count in ([1, 2, 3], 3), ([[1, 2], [3]], 3), ([[]], 0):
        content = content_of({"input": inputs}, GIVEN)
        assert (content.texts, content.extra_tokens) == ((), PER_PROMPT + count)


def test_what_lies_in_a_store_is_weighed_by_the_size_that_was_told() -> None:
    ref = {"dataref": "s3://b/x", "dataref_size": 400_000, "dataref_sha256": "0a" * 32}
    pdf = {**ref, "dataref_type": "application/pdf"}
    parts = {
        100_000: {"type": "text", **ref},
        GIVEN.image_in: {"type": "image_url", "image_url": ref},
        GIVEN.image_in_low: {"type": "image_url", "image_url": {**ref, "detail": "low"}},
        GIVEN.audio_in: {"type": "input_audio", "input_audio": ref},
        7 * GIVEN.image_in: {"type": "file", "file": pdf},
    }
    for tokens, part in parts.items():
        content = content_of({"messages": [{"role": "user", "content": [part]}]}, GIVEN)
        assert content.extra_tokens == PER_PROMPT + PER_MESSAGE + tokens
    assert content_of({"prompt": ref}, GIVEN).extra_tokens == PER_PROMPT + 100_000
    inputs = content_of({"input": ["a", ref, ref]}, GIVEN)
    assert (inputs.texts, inputs.extra_tokens) == (("a",), PER_PROMPT + 200_000)
    assert content_of({"prompt": {**ref, "dataref_size": "x"}}, GIVEN).extra_tokens == PER_PROMPT


@given(st.dictionaries(st.sampled_from(["messages", "prompt", "input", "tools", "n"]), json_values))
def test_weighing_never_fails(fields: dict[str, Any]) -> None:
    content = content_of(fields, GIVEN)
    assert content.extra_tokens >= PER_PROMPT
    for kind in ("chat", "image", "embedding"):
        assert expected_output(fields, kind, content.characters, GIVEN) >= 0


def test_the_requests_own_maximum_is_expected() -> None:
    fields = {"max_tokens": 900, "max_output_tokens": 300}
    assert own_maximum(fields) == 300
    assert expected_output(fields, "chat", 10, GIVEN) == 300
    assert expected_output({"max_tokens": 10**6}, "chat", 10, GIVEN) == GIVEN.output_ceiling
    assert expected_output({"max_tokens": 100, "n": 3}, "chat", 10, GIVEN) == 300
    assert own_maximum({"max_tokens": True}) is None


def test_without_a_maximum_the_prior_goes_by_kind_and_length() -> None:
    assert [expected_output({}, "chat", n, GIVEN) for n in (10, 300, 1000, 9000)] == [
        180,
        110,
        420,
        100,
    ]
    assert expected_output({}, "embedding", 1000, GIVEN) == 0
    assert expected_output({"quality": "high", "n": 2}, "image", 10, GIVEN) == 8320
    assert expected_output({"quality": "auto"}, "image", 10, GIVEN) == 1056


@given(st.integers(0, 10**7), st.integers(0, 10**6), st.floats(0.1, 20))
def test_weight_grows_with_both(input_tokens: int, output_tokens: int, factor: float) -> None:
    weight = weigh(input_tokens, output_tokens, factor)
    assert weight >= 1
    assert weigh(input_tokens + 1, output_tokens, factor) >= weight
    assert weigh(input_tokens, output_tokens + 1, factor) >= weight


def test_parts_of_other_forms_are_read_for_their_texts() -> None:
    content = content_of(
        {
            "instructions": "be brief",
            "input": [
                {"role": "user", "content": "one"},
                {"role": "user", "content": [{"type": "input_text", "text": "two"}]},
                {"type": "function_call_output", "output": "three"},
            ],
            "messages": [{"role": "user", "name": "eve", "content": "four", "refusal": "five"}],
        },
        GIVEN,
    )
    assert sorted(content.texts) == ["be brief", "eve", "five", "four", "one", "three", "two"]
    assert content.extra_tokens == PER_PROMPT + 3 * PER_MESSAGE
