"""Prompts of ours, what a user of OpenAI's SDK would write for the same, and canned replies."""

import base64
from collections.abc import Mapping
from typing import Any, Final

import orjson

PNG_URL = "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(64)).decode()
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
SCHEMA = {
    "name": "answer",
    "schema": {"type": "object", "properties": {"yes": {"type": "boolean"}}},
    "strict": True,
}
CALL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "weather", "arguments": '{"city": "Graz"}'},
}
WHY = [{"role": "user", "content": "Why?"}]
SAID = [
    {"role": "developer", "content": "Be brief."},
    {"role": "user", "content": "How is it?"},
    {"role": "assistant", "content": "I will look.", "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "call_1", "content": "Rain."},
]
SEEN = [
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "What is it?"},
            {"type": "image_url", "image_url": {"url": PNG_URL, "detail": "low"}},
        ],
    }
]

CHATS: Final[Mapping[str, tuple[dict[str, Any], dict[str, Any]]]] = {
    "plain": ({"prompt": "Why?"}, {"messages": WHY}),
    "other scripts": (
        {"prompt": "Warum «é» 世界 🎈?"},
        {"messages": [{"role": "user", "content": "Warum «é» 世界 🎈?"}]},
    ),
    "messages": ({"messages": SAID}, {"messages": SAID}),
    "pictures in": ({"messages": SEEN}, {"messages": SEEN}),
    "bound": (
        {"prompt": "Why?", "max_output_tokens": 9},
        {"messages": WHY, "max_completion_tokens": 9},
    ),
    "n": ({"prompt": "Why?", "n": 2}, {"messages": WHY, "n": 2}),
    "seed": ({"prompt": "Why?", "seed": 7}, {"messages": WHY, "seed": 7}),
    "stop": ({"prompt": "Why?", "stop": ["\n", "END"]}, {"messages": WHY, "stop": ["\n", "END"]}),
    "sampling": (
        {"prompt": "Why?", "temperature": 0.25, "top_p": 0.9, "frequency_penalty": -1},
        {"messages": WHY, "temperature": 0.25, "top_p": 0.9, "frequency_penalty": -1},
    ),
    "penalty and bias": (
        {"prompt": "Why?", "presence_penalty": 1.5, "logit_bias": {"50256": -100}},
        {"messages": WHY, "presence_penalty": 1.5, "logit_bias": {"50256": -100}},
    ),
    "logprobs": (
        {"prompt": "Why?", "logprobs": True, "top_logprobs": 3},
        {"messages": WHY, "logprobs": True, "top_logprobs": 3},
    ),
    "tools": (
        {"prompt": "Why?", "tools": [TOOL], "tool_choice": "required"},
        {"messages": WHY, "tools": [TOOL], "tool_choice": "required"},
    ),
    "one tool, not at once": (
        {
            "prompt": "Why?",
            "tools": [TOOL],
            "tool_choice": {"type": "function", "function": {"name": "weather"}},
            "parallel_tool_calls": False,
        },
        {
            "messages": WHY,
            "tools": [TOOL],
            "tool_choice": {"type": "function", "function": {"name": "weather"}},
            "parallel_tool_calls": False,
        },
    ),
    "json": (
        {"prompt": "JSON?", "response_format": {"type": "json_object"}},
        {
            "messages": [{"role": "user", "content": "JSON?"}],
            "response_format": {"type": "json_object"},
        },
    ),
    "schema": (
        {"prompt": "Why?", "response_format": {"type": "json_schema", "json_schema": SCHEMA}},
        {"messages": WHY, "response_format": {"type": "json_schema", "json_schema": SCHEMA}},
    ),
    "thinking": (
        {"prompt": "Why?", "reasoning_effort": "low", "verbosity": "low"},
        {"messages": WHY, "reasoning_effort": "low", "verbosity": "low"},
    ),
    "for whom": (
        {"prompt": "Why?", "user": "u", "service_tier": "flex", "prompt_cache_key": "k"},
        {"messages": WHY, "user": "u", "service_tier": "flex", "prompt_cache_key": "k"},
    ),
    "what is the broker's": (
        {
            "prompt": "Why?",
            "id": "a",
            "tenant": "t",
            "priority": "batch",
            "timeout_s": 9,
            "metadata": {"secret": "x"},
            "provider": "azure",
            "kind": "chat",
        },
        {"messages": WHY},
    ),
    "in the form of Responses": (
        {
            "input": [
                {"role": "user", "content": [{"type": "input_text", "text": "Why?"}]},
                {"type": "reasoning", "id": "rs_1", "summary": []},
                {"role": "assistant", "content": [{"type": "output_text", "text": "Hm."}]},
                {
                    "type": "function_call",
                    "call_id": "call_1",
                    "name": "weather",
                    "arguments": '{"city": "Graz"}',
                },
                {"type": "function_call_output", "call_id": "call_1", "output": "Rain."},
            ],
            "instructions": "Be brief.",
            "reasoning": {"effort": "high", "summary": "auto"},
            "text": {"format": {"type": "json_schema", **SCHEMA}, "verbosity": "high"},
            "tools": [{"type": "function", **TOOL["function"]}],  # type: ignore[dict-item]  # it is a mapping
            "tool_choice": {"type": "function", "name": "weather"},
        },
        {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": [{"type": "text", "text": "Why?"}]},
                {
                    "role": "assistant",
                    "content": [{"type": "text", "text": "Hm."}],
                    "tool_calls": [CALL],
                },
                {"role": "tool", "tool_call_id": "call_1", "content": "Rain."},
            ],
            "reasoning_effort": "high",
            "response_format": {"type": "json_schema", "json_schema": SCHEMA},
            "verbosity": "high",
            "tools": [TOOL],
            "tool_choice": {"type": "function", "function": {"name": "weather"}},
        },
    ),
}

WHOLE: Final = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {
            "index": index,
            "message": {"role": "assistant", "content": "Yes."},
            "finish_reason": "stop",
        }
        for index in range(2)
    ],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
}


def events(*data: Any) -> bytes:
    """An event stream of these, and what ends a chat's."""
    told = b"".join(b"data: " + orjson.dumps(each) + b"\n\n" for each in data)
    return told + b"data: [DONE]\n\n"


STREAM: Final = events(
    *(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "m",
            "choices": [
                {"index": index, "delta": {"content": "Yes."}, "finish_reason": None},
                {"index": index, "delta": {}, "finish_reason": "stop"},
            ],
        }
        for index in range(2)
    ),
    {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    },
)
