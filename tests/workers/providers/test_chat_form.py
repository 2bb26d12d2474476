"""A prompt in the Responses' form as a chat: what has a place there, and what is refused."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from openai.types.responses.response_create_params import ResponseCreateParamsBase

from broker.settings.providers import ProviderSettings, ServedModel
from tests.workers.building import work
from tests.workers.providers.stream_joining import odd_json
from workers.providers.chat_form import chat_fields, in_responses_form, messages_of
from workers.providers.dialect import CannotExpressError
from workers.providers.openai import OpenAI

ASKED = [{"role": "user", "content": "Why?"}]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"prompt": "Why?"}, False),
        ({"messages": ASKED}, False),
        ({"messages": ASKED, "input": "Why?"}, False),
        ({"input": "Why?", "prompt": None}, True),
        ({"input": ASKED}, True),
    ],
)
def test_the_form_is_told_by_what_the_prompt_came_as(
    fields: dict[str, Any],
    expected: bool,  # noqa: FBT001 - a column of the table
) -> None:
    assert in_responses_form(fields) is expected


@pytest.mark.parametrize(
    "fields",
    [
        {"previous_response_id": "resp_1"},
        {"conversation": "conv_1"},
        {"background": True},
        {"context_management": [{"type": "compaction"}]},
        {"truncation": "auto"},
        {"tools": [{"type": "web_search"}]},
        {"tools": [{"type": ["odd"]}]},
        {"tool_choice": {"type": "allowed_tools", "tools": [{"type": "mcp"}]}},
    ],
)
def test_what_only_responses_can_say_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(CannotExpressError):
        chat_fields({"input": "Why?", **fields})


@pytest.mark.parametrize(
    "item",
    [
        {"type": "mcp_call"},
        {"role": "user", "content": [{"type": "input_file", "file_url": "https://x"}]},
        {"role": "user", "content": [{"type": "input_image", "file_id": "f"}]},
        {"role": "user", "content": [{"type": "odd"}]},
    ],
)
def test_items_and_parts_without_a_place_are_refused(item: dict[str, Any]) -> None:
    with pytest.raises(CannotExpressError):
        messages_of({"input": [item]})


def test_what_is_the_same_stays_and_what_means_nothing_goes() -> None:
    fields = {
        "input": "Why?",
        "truncation": "disabled",
        "max_tool_calls": 3,
        "temperature": 0.5,
        "include": ["message.output_text.logprobs"],
        "background": False,
        "text": {"format": {"type": "text"}},
        "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": []},
    }
    assert chat_fields(fields) == {
        "temperature": 0.5,
        "background": False,
        "logprobs": True,
        "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}},
    }


def test_calls_without_a_message_of_the_assistants_get_one() -> None:
    call = {"type": "custom_tool_call", "call_id": "c", "name": "sql", "input": "x"}
    made = {"id": "c", "type": "custom", "custom": {"name": "sql", "input": "x"}}
    assert messages_of({"input": [*ASKED, call, call]}) == [
        *ASKED,
        {"role": "assistant", "content": None, "tool_calls": [made, made]},
    ]


def test_files_pictures_and_instructions_have_their_place() -> None:
    parts = [
        {"type": "input_file", "file_id": "f", "file_data": None},
        {"type": "input_image", "image_url": "https://x", "detail": "high"},
    ]
    fields = {"input": [{"role": "user", "content": parts}], "instructions": "Be brief."}
    assert messages_of(fields) == [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "file", "file": {"file_id": "f"}},
                {"type": "image_url", "image_url": {"url": "https://x", "detail": "high"}},
            ],
        },
    ]


def test_every_field_of_a_response_is_known() -> None:
    """A new release of the SDK with a new field stops here."""
    known = {
        *("input", "instructions", "model", "metadata", "stream_options", "max_output_tokens"),
        *("text", "reasoning", "include", "truncation", "max_tool_calls", "tools", "tool_choice"),
        *("previous_response_id", "conversation", "background", "context_management"),
        *("moderation", "parallel_tool_calls", "prompt_cache_key", "prompt_cache_options"),
        *("prompt_cache_retention", "safety_identifier", "service_tier", "temperature", "store"),
        *("top_logprobs", "top_p", "user"),
        # Of the newest; passed on, so that the server says what it makes of them.
        *("prompt", "access_programs", "background_options", "image"),
    }
    assert ResponseCreateParamsBase.__annotations__.keys() <= known


NAMES = (
    *("type", "role", "content", "text", "tools", "name", "format", "message", "function"),
    *("custom", "input_image", "image_url", "function_call", "tool_choice", "allowed_tools"),
)


@given(odd_json(*NAMES))
def test_nothing_odd_crashes_the_mapping(odd: Any) -> None:
    for fields in (
        *({name: odd} for name in ("text", "reasoning", "tool_choice", "include", "tools")),
        {"tools": [odd]},
        {"input": [{"type": "message", "role": "user", "content": odd}]},
    ):
        given = {"prompt": None, "input": "Why?", **fields}
        with suppress(CannotExpressError):
            OpenAI(ProviderSettings()).request(work(fields=given), ServedModel(name="m"))
