"""OpenAI's own SDK against the simulator: OpenAI, vLLM, and Azure in both of its forms."""

import base64
import math
import struct
from collections.abc import Iterator
from typing import Any

import openai
import orjson
import pytest
from openai.types.chat import ChatCompletion

from tests.simulator.speaking import CHAT, IMAGE, KEY, VECTOR, Speaking

HELLO: list[Any] = [{"role": "user", "content": "Why is the sky blue?"}]
WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather at a place.",
        "parameters": {
            "type": "object",
            "properties": {
                "place": {"type": "string"},
                "days": {"type": "integer", "minimum": 1, "maximum": 9},
                "unit": {"enum": ["C", "F"]},
            },
            "required": ["place", "days", "unit"],
        },
    },
}
FORMS = ("openai", "coreweave", "azure-v1", "azure-deployments")


def client_of(form: str, url: str, key: str = KEY) -> openai.OpenAI:
    given: Any = {"api_key": key, "max_retries": 0, "timeout": 20, "http_client": plain()}
    match form:
        case "azure-v1":
            return openai.OpenAI(base_url=f"{url}/azure/openai/v1/", **given)
        case "azure-deployments":
            return openai.AzureOpenAI(
                azure_endpoint=f"{url}/azure", api_version="2024-10-21", **given
            )
        case name:
            return openai.OpenAI(base_url=f"{url}/{name}/v1", **given)


def plain() -> Any:
    """The SDK's own transport, without the list of authorities, which takes 50 ms to load."""
    return openai.DefaultHttpxClient(verify=False)


def provider_of(form: str) -> str:
    return form.partition("-")[0]


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def client(form: str, clouds: Speaking) -> Iterator[openai.OpenAI]:
    with client_of(form, clouds.url) as made:
        yield made


def test_a_whole_answer(client: openai.OpenAI, form: str) -> None:
    answer = client.chat.completions.create(model=CHAT, messages=HELLO, max_completion_tokens=30)
    assert isinstance(answer, ChatCompletion)
    choice = answer.choices[0]
    assert choice.finish_reason == "stop"
    assert choice.message.content
    assert choice.message.role == "assistant"
    assert answer.model == CHAT
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 30
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 30
    if provider_of(form) == "azure":
        found: Any = choice.model_extra
        assert found["content_filter_results"]["hate"] == {"filtered": False, "severity": "safe"}
        assert answer.model_extra is not None
        assert answer.model_extra["prompt_filter_results"][0]["prompt_index"] == 0


def test_the_pieces_of_a_stream_are_the_whole_answer(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model=CHAT, messages=HELLO, max_tokens=40, n=2)
    with client.chat.completions.create(
        model=CHAT,
        messages=HELLO,
        max_tokens=40,
        n=2,
        stream=True,
        stream_options={"include_usage": True},
    ) as stream:
        chunks = list(stream)
    texts = ["", ""]
    ended: dict[int, str] = {}
    for chunk in chunks:
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            if choice.finish_reason is not None:
                ended[choice.index] = choice.finish_reason
    assert texts == [choice.message.content for choice in whole.choices]
    assert ended == {0: "stop", 1: "stop"}
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 80


def test_the_stream_helper_puts_the_same_completion_together(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(model=CHAT, messages=HELLO, max_tokens=20) as stream:
        final = stream.get_final_completion()
    whole = client.chat.completions.create(model=CHAT, messages=HELLO, max_tokens=20)
    assert final.choices[0].message.content == whole.choices[0].message.content


def test_a_maximum_cuts_and_says_so(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=CHAT, messages=HELLO, max_tokens=5, extra_body={"simulated_output_tokens": 50}
    )
    assert answer.choices[0].finish_reason == "length"


@pytest.mark.parametrize(
    "choice", ["required", {"type": "function", "function": {"name": "weather"}}]
)
def test_a_tool_that_must_be_called_is_called_with_fitting_arguments(
    client: openai.OpenAI, choice: Any
) -> None:
    asked: Any = {"model": CHAT, "messages": HELLO, "tools": [WEATHER], "tool_choice": choice}
    answer = client.chat.completions.create(**asked)
    assert answer.choices[0].finish_reason == "tool_calls"
    assert answer.choices[0].message.tool_calls is not None
    call = answer.choices[0].message.tool_calls[0]
    assert call.type == "function"
    assert call.function.name == "weather"
    arguments = orjson.loads(call.function.arguments)
    assert isinstance(arguments["place"], str)
    assert 1 <= arguments["days"] <= 9
    assert arguments["unit"] in ("C", "F")
    with client.chat.completions.stream(**asked) as stream:
        streamed = stream.get_final_completion().choices[0]
    assert streamed.finish_reason == "tool_calls"
    assert streamed.message.tool_calls is not None
    assert streamed.message.tool_calls[0].function.arguments == call.function.arguments
    free = client.chat.completions.create(**{**asked, "tool_choice": "auto"})
    assert free.choices[0].message.content


def test_json_is_json_and_fits_its_schema(client: openai.OpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {
            "cities": {"type": "array", "items": {"$ref": "#/$defs/city"}, "minItems": 3},
            "sure": {"type": "boolean"},
        },
        "$defs": {
            "city": {
                "type": "object",
                "properties": {"name": {"type": "string"}, "size": {"type": "number"}},
            }
        },
    }
    form: Any = {"type": "json_schema", "json_schema": {"name": "cities", "schema": schema}}
    answer = client.chat.completions.create(model=CHAT, messages=HELLO, response_format=form)
    data = orjson.loads(answer.choices[0].message.content or "")
    assert len(data["cities"]) == 3
    assert all(isinstance(city["name"], str) for city in data["cities"])
    assert isinstance(data["sure"], bool)
    plain = client.chat.completions.create(
        model=CHAT, messages=HELLO, response_format={"type": "json_object"}
    )
    assert isinstance(orjson.loads(plain.choices[0].message.content or ""), dict)


def test_thinking_is_counted_and_a_repeated_prompt_is_cached(client: openai.OpenAI) -> None:
    messages: list[Any] = [{"role": "user", "content": "word " * 2_000}]
    counted = []
    for _ in range(2):
        answer = client.chat.completions.create(
            model=CHAT, messages=messages, max_completion_tokens=400, reasoning_effort="low"
        )
        assert answer.usage is not None
        counted.append(answer.usage)
    details = counted[1].completion_tokens_details
    assert details is not None
    assert details.reasoning_tokens == 64
    assert counted[1].completion_tokens == 400
    cached = counted[1].prompt_tokens_details
    assert cached is not None
    assert cached.cached_tokens is not None
    assert 1_024 <= cached.cached_tokens <= counted[1].prompt_tokens


def test_pictures_decode_and_have_the_asked_size(client: openai.OpenAI) -> None:
    made = client.images.generate(
        model=IMAGE, prompt="A heron.", n=2, size="1536x1024", quality="low"
    )
    assert made.data is not None
    pictures = [base64.b64decode(one.b64_json or "") for one in made.data]
    assert len(set(pictures)) == 2
    for picture in pictures:
        assert 190_000 < len(picture) < 210_000
        assert picture.startswith(b"\x89PNG\r\n\x1a\n")
        assert struct.unpack(">II", picture[16:24]) == (1_536, 1_024)
    assert made.usage is not None
    assert made.usage.output_tokens == 2 * 272
    assert made.size == "1536x1024"


def test_a_streamed_picture_is_one_event(client: openai.OpenAI) -> None:
    with client.images.generate(model=IMAGE, prompt="A heron.", stream=True) as stream:
        (event,) = list(stream)
    assert event.type == "image_generation.completed"
    assert base64.b64decode(event.b64_json).startswith(b"\x89PNG")


@pytest.mark.parametrize("encoding", ["float", "base64", None])
def test_embeddings_have_the_right_length_and_order(client: openai.OpenAI, encoding: Any) -> None:
    texts = ["one", "two", "one"]
    given = {} if encoding is None else {"encoding_format": encoding}
    made = client.embeddings.create(model=VECTOR, input=texts, dimensions=128, **given)
    vectors = [one.embedding for one in made.data]
    if encoding == "base64":
        vectors = [list(struct.unpack("<128f", base64.b64decode(str(one)))) for one in vectors]
    assert [len(vector) for vector in vectors] == [128] * 3
    assert vectors[0] == vectors[2] != vectors[1]
    assert math.isclose(math.hypot(*vectors[0]), 1.0, abs_tol=1e-5)
    assert made.usage.prompt_tokens == 3
    assert len(client.embeddings.create(model=VECTOR, input="one").data[0].embedding) == 256


def test_models_are_listed(client: openai.OpenAI) -> None:
    assert CHAT in [model.id for model in client.models.list()]
    assert client.models.retrieve(CHAT).id == CHAT
