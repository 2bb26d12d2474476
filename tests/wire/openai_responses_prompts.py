"""Chats of ours, what a user of the SDK's `responses` would write for them, and canned replies."""

from collections.abc import Mapping
from typing import Any, Final

from tests.wire.openai_prompts import PNG_URL, SCHEMA, TOOL, events

FLAT_TOOL = {"type": "function", "strict": False, **TOOL["function"]}  # type: ignore[dict-item]  # it is a mapping
CUSTOM = {"name": "sql", "format": {"type": "grammar", "grammar": {"syntax": "lark"}}}
FLAT_CUSTOM = {
    "type": "custom",
    "name": "sql",
    "format": {"type": "grammar", "syntax": "lark"},
}

RESPONSES: Final[Mapping[str, tuple[dict[str, Any], dict[str, Any]]]] = {
    "plain": ({"prompt": "Why?"}, {"input": "Why?", "store": False}),
    "bound": (
        {"prompt": "Why?", "max_output_tokens": 99, "temperature": 0.5, "user": "u"},
        {
            "input": "Why?",
            "store": False,
            "max_output_tokens": 99,
            "temperature": 0.5,
            "user": "u",
        },
    ),
    "kept": (
        {"prompt": "Why?", "store": True, "instructions": "Be brief."},
        {"input": "Why?", "store": True, "instructions": "Be brief."},
    ),
    "a conversation": (
        {
            "messages": [
                {"role": "developer", "content": "Be brief."},
                {"role": "user", "content": [{"type": "text", "text": "How?"}]},
                {
                    "role": "assistant",
                    "content": [{"type": "text", "text": "So."}],
                    "tool_calls": [
                        {
                            "id": "c1",
                            "type": "function",
                            "function": {"name": "weather", "arguments": "{}"},
                        },
                        {"id": "c2", "type": "custom", "custom": {"name": "sql", "input": "x"}},
                    ],
                },
                {"role": "tool", "tool_call_id": "c1", "content": "Rain."},
                {
                    "role": "tool",
                    "tool_call_id": "c2",
                    "content": [{"type": "text", "text": "1 row"}],
                },
                {"role": "assistant", "content": None, "refusal": "I cannot."},
            ]
        },
        {
            "input": [
                {"role": "developer", "content": "Be brief."},
                {"role": "user", "content": [{"type": "input_text", "text": "How?"}]},
                {"role": "assistant", "content": [{"type": "output_text", "text": "So."}]},
                {
                    "type": "function_call",
                    "call_id": "c1",
                    "name": "weather",
                    "arguments": "{}",
                },
                {"type": "custom_tool_call", "call_id": "c2", "name": "sql", "input": "x"},
                {"type": "function_call_output", "call_id": "c1", "output": "Rain."},
                {
                    "type": "custom_tool_call_output",
                    "call_id": "c2",
                    "output": [{"type": "input_text", "text": "1 row"}],
                },
                {"role": "assistant", "content": [{"type": "refusal", "refusal": "I cannot."}]},
            ],
            "store": False,
        },
    ),
    "pictures and files in": (
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "image_url", "image_url": {"url": PNG_URL, "detail": "low"}},
                        {"type": "image_url", "image_url": {"url": PNG_URL}},
                        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:x"}},
                    ],
                }
            ]
        },
        {
            "input": [
                {
                    "role": "user",
                    "content": [
                        {"type": "input_image", "image_url": PNG_URL, "detail": "low"},
                        {"type": "input_image", "image_url": PNG_URL, "detail": "auto"},
                        {"type": "input_file", "filename": "a.pdf", "file_data": "data:x"},
                    ],
                }
            ],
            "store": False,
        },
    ),
    "tools": (
        {
            "prompt": "Why?",
            "tools": [TOOL, {"type": "custom", "custom": CUSTOM}],
            "tool_choice": {"type": "function", "function": {"name": "weather"}},
        },
        {
            "input": "Why?",
            "store": False,
            "tools": [FLAT_TOOL, FLAT_CUSTOM],
            "tool_choice": {"type": "function", "name": "weather"},
        },
    ),
    "some tools": (
        {
            "prompt": "Why?",
            "tools": [TOOL],
            "tool_choice": {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "required", "tools": [TOOL]},
            },
        },
        {
            "input": "Why?",
            "store": False,
            "tools": [FLAT_TOOL],
            "tool_choice": {
                "type": "allowed_tools",
                "mode": "required",
                "tools": [{"type": "function", "name": "weather"}],
            },
        },
    ),
    "schema, effort and probabilities": (
        {
            "prompt": "Why?",
            "response_format": {"type": "json_schema", "json_schema": SCHEMA},
            "verbosity": "low",
            "reasoning_effort": "high",
            "logprobs": True,
            "top_logprobs": 2,
        },
        {
            "input": "Why?",
            "store": False,
            "text": {"format": {"type": "json_schema", **SCHEMA}, "verbosity": "low"},
            "reasoning": {"effort": "high"},
            "include": ["message.output_text.logprobs"],
            "top_logprobs": 2,
        },
    ),
    "in its own form": (
        {
            "input": [{"role": "user", "content": "Why?"}],
            "instructions": "Be brief.",
            "previous_response_id": "resp_0",
            "tools": [{"type": "web_search"}],
            "reasoning": {"effort": "low", "summary": "auto"},
            "metadata": {"ours": "x"},
        },
        {
            "input": [{"role": "user", "content": "Why?"}],
            "instructions": "Be brief.",
            "previous_response_id": "resp_0",
            "tools": [{"type": "web_search"}],
            "reasoning": {"effort": "low", "summary": "auto"},
        },
    ),
}

RESPONSE: Final[dict[str, Any]] = {
    "id": "resp_1",
    "object": "response",
    "created_at": 5,
    "status": "completed",
    "model": "m",
    "error": None,
    "incomplete_details": None,
    "instructions": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "temperature": 1.0,
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
    "output": [
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "Hm."}],
        },
        {
            "type": "message",
            "id": "msg_1",
            "status": "completed",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "Yes.", "annotations": []}],
        },
        {
            "type": "function_call",
            "id": "fc_1",
            "call_id": "call_1",
            "name": "weather",
            "arguments": '{"city": "Graz"}',
            "status": "completed",
        },
    ],
    "usage": {
        "input_tokens": 3,
        "input_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 0},
        "output_tokens": 7,
        "output_tokens_details": {"reasoning_tokens": 4},
        "total_tokens": 10,
    },
}


def _told(number: int, kind: str, place: int, **more: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}", "sequence_number": number, "output_index": place, **more}


def stream_events() -> list[dict[str, Any]]:
    """The events by which RESPONSE would be streamed."""
    begun = {**RESPONSE, "status": "in_progress", "output": [], "usage": None}
    thought, message, call = RESPONSE["output"]
    part = {"item_id": "msg_1", "content_index": 0}
    return [
        {"type": "response.created", "sequence_number": 0, "response": begun},
        {"type": "response.in_progress", "sequence_number": 1, "response": begun},
        _told(2, "output_item.added", 0, item={**thought, "summary": []}),
        _told(
            3,
            "reasoning_summary_text.delta",
            0,
            item_id="rs_1",
            summary_index=0,
            delta="Hm.",
        ),
        _told(4, "output_item.done", 0, item=thought),
        _told(5, "output_item.added", 1, item={**message, "content": []}),
        _told(6, "output_text.delta", 1, **part, delta="Ye", logprobs=[]),
        _told(7, "output_text.delta", 1, **part, delta="s.", logprobs=[]),
        _told(8, "output_text.done", 1, **part, text="Yes.", logprobs=[]),
        _told(9, "output_item.done", 1, item=message),
        _told(10, "output_item.added", 2, item={**call, "arguments": ""}),
        _told(11, "function_call_arguments.delta", 2, item_id="fc_1", delta='{"city": '),
        _told(12, "function_call_arguments.delta", 2, item_id="fc_1", delta='"Graz"}'),
        _told(13, "output_item.done", 2, item=call),
        {"type": "response.completed", "sequence_number": 14, "response": RESPONSE},
    ]


RESPONSE_STREAM: Final = events(*stream_events()).removesuffix(b"data: [DONE]\n\n")
