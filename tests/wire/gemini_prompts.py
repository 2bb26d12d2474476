"""Prompts in OpenAI's form, what a user of Google's SDK would write for the same, and replies."""

import base64
from collections.abc import Mapping
from typing import Any, Final

from google.genai import types

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(64))
PNG_URL = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "sky_colour": {"$ref": "#/$defs/c"}},
    "$defs": {"c": {"enum": ["blue", "grey"]}},
    "required": ["city"],
    "additionalProperties": False,
}

WHOLE: Final = {
    "candidates": [
        {"content": {"parts": [{"text": "Yes."}], "role": "model"}, "finishReason": "STOP"}
    ],
    "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5},
}
STREAM: Final = (
    b'data: {"candidates": [{"content": {"parts": [{"text": "Yes."}]}, "finishReason": "STOP"}], '
    b'"usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2}}\r\n\r\n'
)
PICTURE: Final = {
    "candidates": [
        {
            "content": {
                "parts": [
                    {"text": "Here."},
                    {
                        "inlineData": {
                            "mimeType": "image/png",
                            "data": base64.b64encode(PNG).decode(),
                        }
                    },
                ]
            },
            "finishReason": "STOP",
        }
    ]
}


def text(role: str, said: str) -> types.Content:
    return types.Content(role=role, parts=[types.Part(text=said)])


CHATS: Final[Mapping[str, tuple[dict[str, Any], Any, dict[str, Any]]]] = {
    "plain": ({"prompt": "Why?"}, "Why?", {}),
    "sampling": (
        {
            "prompt": "Why?",
            "temperature": 0.3,
            "top_p": 0.9,
            "top_k": 40,
            "seed": 7,
            "stop": ["END", "\n\n"],
            "presence_penalty": 0.5,
            "frequency_penalty": -0.5,
            "max_output_tokens": 99,
            "n": 2,
            "logprobs": True,
            "top_logprobs": 3,
            "user": "someone",
            "store": False,
        },
        "Why?",
        {
            "temperature": 0.3,
            "top_p": 0.9,
            "top_k": 40,
            "seed": 7,
            "stop_sequences": ["END", "\n\n"],
            "presence_penalty": 0.5,
            "frequency_penalty": -0.5,
            "max_output_tokens": 99,
            "candidate_count": 2,
            "response_logprobs": True,
            "logprobs": 3,
        },
    ),
    "roles": (
        {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Why?"},
                {"role": "assistant", "content": "Because."},
                {"role": "user", "content": [{"type": "text", "text": "But why?"}]},
            ]
        },
        [text("user", "Why?"), text("model", "Because."), text("user", "But why?")],
        {"system_instruction": "Be brief."},
    ),
    "thinking": (
        {"prompt": "Why?", "reasoning_effort": "low", "service_tier": "flex"},
        "Why?",
        {"thinking_config": {"thinking_level": "LOW"}, "service_tier": "flex"},
    ),
    "safety": (
        {
            "prompt": "Why?",
            "safety_settings": [
                {"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}
            ],
        },
        "Why?",
        {"safety_settings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]},
    ),
    "json": (
        {"prompt": "Why?", "response_format": {"type": "json_object"}},
        "Why?",
        {"response_mime_type": "application/json"},
    ),
    "schema": (
        {
            "prompt": "Why?",
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "sky", "schema": SCHEMA, "strict": True},
            },
        },
        "Why?",
        {"response_mime_type": "application/json", "response_json_schema": SCHEMA},
    ),
    "pictures and sound in": (
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "image_url", "image_url": {"url": PNG_URL, "detail": "high"}},
                        {"type": "image_url", "image_url": {"url": "gs://bucket/a.webp"}},
                        {
                            "type": "input_audio",
                            "input_audio": {
                                "data": base64.b64encode(b"RIFF").decode(),
                                "format": "wav",
                            },
                        },
                        {"type": "text", "text": "What is it?"},
                    ],
                }
            ]
        },
        [
            types.Content(
                role="user",
                parts=[
                    types.Part.from_bytes(data=PNG, mime_type="image/png"),
                    types.Part.from_uri(file_uri="gs://bucket/a.webp", mime_type="image/webp"),
                    types.Part.from_bytes(data=b"RIFF", mime_type="audio/wav"),
                    types.Part(text="What is it?"),
                ],
            )
        ],
        {},
    ),
    "tools": (
        {
            "messages": [
                {"role": "user", "content": "The weather in Rome?"},
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [
                        {
                            "id": "call-1",
                            "type": "function",
                            "function": {"name": "look", "arguments": '{"city": "Rome"}'},
                            "extra_content": {"google": {"thought_signature": "c2lnbg=="}},
                        }
                    ],
                },
                {"role": "tool", "tool_call_id": "call-1", "content": '{"sky_colour": "blue"}'},
            ],
            "tools": [
                {
                    "type": "function",
                    "function": {"name": "look", "description": "Looks.", "parameters": SCHEMA},
                }
            ],
            "tool_choice": {"type": "function", "function": {"name": "look"}},
        },
        [
            text("user", "The weather in Rome?"),
            types.Content(
                role="model",
                parts=[
                    types.Part(
                        function_call=types.FunctionCall(
                            id="call-1", name="look", args={"city": "Rome"}
                        ),
                        thought_signature=b"sign",
                    )
                ],
            ),
            types.Content(
                role="user",
                parts=[
                    types.Part(
                        function_response=types.FunctionResponse(
                            id="call-1", name="look", response={"sky_colour": "blue"}
                        )
                    )
                ],
            ),
        ],
        {
            "tools": [
                types.Tool(
                    function_declarations=[
                        types.FunctionDeclaration(
                            name="look", description="Looks.", parameters_json_schema=SCHEMA
                        )
                    ]
                )
            ],
            "tool_config": {
                "function_calling_config": {"mode": "ANY", "allowed_function_names": ["look"]}
            },
        },
    ),
}
"""By what is tried: the prompt's fields, the SDK's contents, and its config."""
