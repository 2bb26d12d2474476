"""What a prompt needs is found wherever it stands, and nothing odd breaks the search."""

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.needs import NEEDS, needs_of
from broker.settings.providers import Lack

PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}


def said(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": "?"}, *parts]}]}


def test_every_word_of_the_settings_has_a_sentence() -> None:
    assert set(NEEDS) == set(get_args(Lack))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"prompt": "Why?"}, set()),
        (said(), set()),
        (said(PICTURE), {"images_in"}),
        (said({"type": "input_audio", "input_audio": {}}), {"audio_in"}),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, {"images_in"}),
        ({"prompt": "?", "tools": [{"type": "function"}]}, {"tools"}),
        ({"prompt": "?", "tools": []}, set()),
        ({"prompt": "?", "functions": [{"name": "f"}]}, {"tools"}),
        ({"messages": [{"role": "assistant", "tool_calls": [{}]}]}, {"tools"}),
        ({"messages": [{"role": "tool", "content": "x"}]}, {"tools"}),
        ({"input": [{"type": "function_call_output"}]}, {"tools"}),
        ({"prompt": "?", "response_format": {"type": "json_object"}}, {"json_mode"}),
        ({"prompt": "?", "response_format": {"type": "json_schema"}}, {"json_schema"}),
        ({"prompt": "?", "response_format": {"type": "text"}}, set()),
        ({"prompt": "?", "text": {"format": {"type": "json_schema"}}}, {"json_schema"}),
        ({"prompt": "?", "logprobs": True}, {"logprobs"}),
        ({"prompt": "?", "top_logprobs": 3}, {"logprobs"}),
        ({"prompt": "?", "n": 2, "stream": True}, {"n", "stream"}),
        ({"prompt": "?", "n": 1, "stream": False, "logprobs": False}, set()),
    ],
)
def test_a_chat_prompt_needs(fields: dict[str, Any], expected: set[str]) -> None:
    assert needs_of(fields, "chat") == expected


def test_pictures_are_not_streamed_and_embeddings_need_nothing() -> None:
    asked = {"prompt": "A cat.", "n": 2, "stream": True, "image": "x", "tools": [1]}
    assert needs_of(asked, "image") == {"n", "images_in"}
    assert needs_of(asked, "embedding") == frozenset()


NAMES = (
    *("messages", "input", "content", "type", "role", "tools", "tool_calls", "response_format"),
    *("text", "format", "n", "stream", "logprobs", "functions", "image"),
)


@given(
    st.dictionaries(
        st.sampled_from(NAMES),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.sampled_from(NAMES),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3)
            ),
        ),
    ),
    st.sampled_from(["chat", "image", "embedding"]),
)
def test_whatever_the_fields_are_it_answers(fields: dict[str, Any], kind: str) -> None:
    assert needs_of(fields, kind) <= set(NEEDS)
