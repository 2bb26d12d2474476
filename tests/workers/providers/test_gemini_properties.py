"""Whatever a valid prompt holds, it is asked or refused by name: nothing breaks on the way."""

import contextlib
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from broker.records.field_rules import InvalidField, check_content, check_numbers
from broker.settings.providers import ServedModel
from tests.workers.providers.test_gemini_request import asked
from workers.providers.dialect import CannotExpressError
from workers.providers.gemini_contents import conversation_of

TEXTS = st.text(max_size=8) | st.sampled_from(
    [
        *("", "{}", '{"a": 1}', '{"output": 2}', "[1]", "c1", "c2", "look", "auto", "required"),
        *("data:image/png;base64,QUJD", "gs://b/a.png", "https://a/b", "wav", "low", "function"),
    ]
)
NAMES = st.sampled_from(
    [
        *("type", "text", "image_url", "url", "input_audio", "data", "format", "file", "file_data"),
        *("function", "name", "arguments", "id", "parameters", "schema", "json_schema", "refusal"),
        *("google", "thought_signature", "mode", "tools", "allowed_tools", "strict"),
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=8,
)
PARTS = st.fixed_dictionaries(
    {
        "type": st.sampled_from(
            [*("text", "refusal", "image_url", "video_url", "input_audio", "file", "odd")]
        )
    },
    optional={
        "text": TEXTS | JSON,
        "refusal": TEXTS,
        "image_url": TEXTS | st.fixed_dictionaries({"url": TEXTS | JSON}) | JSON,
        "input_audio": st.fixed_dictionaries({"format": TEXTS, "data": TEXTS}) | JSON,
        "file": st.fixed_dictionaries({"file_data": TEXTS}) | JSON,
    },
)
CALLS = st.fixed_dictionaries(
    {
        "function": st.fixed_dictionaries({"name": TEXTS | JSON, "arguments": TEXTS | JSON}) | JSON,
    },
    optional={
        "id": TEXTS | JSON,
        "type": st.sampled_from(["function", "custom"]) | JSON,
        "extra_content": JSON,
    },
)
MESSAGES = st.fixed_dictionaries(
    {
        "role": st.sampled_from(
            [*("system", "developer", "user", "assistant", "tool", "function", "odd")]
        )
    },
    optional={
        "content": st.none() | TEXTS | st.lists(PARTS, max_size=3),
        "tool_calls": st.lists(CALLS, max_size=3) | JSON,
        "function_call": JSON,
        "tool_call_id": TEXTS | JSON,
        "name": TEXTS | JSON,
        "refusal": TEXTS | JSON,
        "audio": JSON,
    },
)
TOOLS = st.lists(
    st.fixed_dictionaries({"type": st.just("function"), "function": JSON}) | JSON, max_size=3
)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "tools": TOOLS | JSON,
        "tool_choice": TEXTS | JSON,
        "parallel_tool_calls": JSON,
        "response_format": JSON,
        "reasoning_effort": st.sampled_from(["none", "minimal", "low", "xhigh"]) | JSON,
        "stop": TEXTS | st.lists(TEXTS, max_size=6) | JSON,
        "n": st.integers(1, 10),
        "top_logprobs": JSON,
        "modalities": st.lists(st.sampled_from(["text", "image"]), max_size=3) | JSON,
        "logit_bias": JSON,
        "service_tier": TEXTS | JSON,
        "verbosity": JSON,
        "temperature": JSON,
        "safety_settings": JSON,
        "stream": st.booleans(),
    },
)
RESPONSES = st.fixed_dictionaries(
    {}, optional={"text": JSON, "reasoning": JSON, "include": JSON, "instructions": TEXTS | JSON}
)
IMAGES = st.fixed_dictionaries(
    {"prompt": st.just("A cat.")},
    optional={
        "size": st.from_regex(r"[0-9]{1,6}x[0-9]{1,6}") | JSON,
        "quality": TEXTS | JSON,
        "n": st.integers(1, 3),
        "output_format": TEXTS | JSON,
        "background": JSON,
        "safety_settings": JSON,
    },
)
EMBEDDINGS = st.fixed_dictionaries(
    {"input": TEXTS | st.lists(TEXTS, min_size=1, max_size=3) | st.lists(st.integers(0, 9))},
    optional={"dimensions": JSON, "encoding_format": TEXTS | JSON, "task_type": JSON},
)
MODELS = st.sampled_from(["gemini-2.5-pro", "gemini-3-flash", "text-embedding-005", "x"])


def asks_or_refuses(fields: dict[str, Any], kind: Any, model: str) -> None:
    try:
        check_content(fields, kind)
        check_numbers(fields)
    except InvalidField:
        return
    before = orjson.dumps(fields)
    # Anything but CannotExpressError fails the test.
    with contextlib.suppress(CannotExpressError):
        assert orjson.loads(asked(fields, ServedModel(name=model), kind=kind).body)
    assert orjson.dumps(fields) == before, "the prompt itself was changed"


@given(messages=st.lists(MESSAGES, min_size=1, max_size=4), model=MODELS)
def test_any_conversation(messages: list[Any], model: str) -> None:
    asks_or_refuses({"messages": messages}, "chat", model)


@given(
    options=OPTIONS, responses=RESPONSES, model=MODELS, form=st.sampled_from(["prompt", "input"])
)
def test_any_options(
    options: dict[str, Any], responses: dict[str, Any], model: str, form: str
) -> None:
    more = responses if form == "input" else {}
    asks_or_refuses({form: "Why?", **options, **more}, "chat", model)


@given(fields=IMAGES, model=MODELS)
def test_any_picture(fields: dict[str, Any], model: str) -> None:
    asks_or_refuses(fields, "image", model)


@given(fields=EMBEDDINGS, model=MODELS)
def test_any_embedding(fields: dict[str, Any], model: str) -> None:
    asks_or_refuses(fields, "embedding", model)


PLAIN = st.lists(
    st.fixed_dictionaries(
        {
            "role": st.sampled_from(["system", "developer", "user", "assistant"]),
            "content": st.text(min_size=1, max_size=9),
        }
    ),
    max_size=6,
)


@given(messages=PLAIN)
def test_every_text_is_carried_over_once_and_in_order(messages: list[dict[str, str]]) -> None:
    asked_for = conversation_of([*messages, {"role": "user", "content": "last"}], signed=True)
    said = [m["content"] for m in messages if m["role"] in ("user", "assistant")]
    told = [m["content"] for m in messages if m["role"] in ("system", "developer")]
    instruction = asked_for.get("systemInstruction", {"parts": []})
    texts = [part["text"] for content in asked_for["contents"] for part in content["parts"]]
    assert texts == [*said, "last"]
    assert [part["text"] for part in instruction["parts"]] == told
