"""Google's own SDK, as Vertex AI, against the simulator."""

import math
import struct
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
import uvloop
from google import genai
from google.auth.credentials import Credentials
from google.genai import types

from tests.simulator.speaking import CHAT, GEMINI_VECTOR, IMAGE, KEY, PREDICTED, Speaking

HELLO = "Why is the sky blue?"


class Token(Credentials):  # type: ignore[misc,unused-ignore]  # google-auth has no types
    """A token that is always good."""

    def __init__(self, token: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # google-auth has no types
        self.token = token

    def refresh(self, request: Any) -> None:
        raise AssertionError(request)


def client_of(url: str, key: str = KEY) -> genai.Client:
    options = types.HttpOptions(
        base_url=f"{url}/google",
        timeout=20_000,
        client_args={"verify": False},
        retry_options=types.HttpRetryOptions(attempts=1),
    )
    return genai.Client(
        vertexai=True,
        project="a-project",
        location="europe-west4",
        credentials=Token(key),
        http_options=options,
    )


@pytest.fixture
def client(clouds: Speaking) -> Iterator[genai.Client]:
    with client_of(clouds.url) as made:
        yield made


def config(**given: Any) -> types.GenerateContentConfig:
    return types.GenerateContentConfig(**given)


def test_a_whole_answer(client: genai.Client) -> None:
    answer = client.models.generate_content(
        model=CHAT,
        contents=HELLO,
        config=config(max_output_tokens=30, system_instruction="Be short.", temperature=0.5),
    )
    assert answer.text
    assert answer.candidates is not None
    assert answer.candidates[0].finish_reason is types.FinishReason.STOP
    assert answer.model_version == CHAT
    assert answer.response_id
    usage = answer.usage_metadata
    assert usage is not None
    assert usage.candidates_token_count == 30
    assert usage.prompt_token_count is not None
    assert usage.total_token_count == usage.prompt_token_count + 30
    assert usage.traffic_type is types.TrafficType.ON_DEMAND


def test_the_pieces_of_a_stream_are_the_whole_answer(client: genai.Client) -> None:
    asked = config(max_output_tokens=40, candidate_count=2)
    whole = client.models.generate_content(model=CHAT, contents=HELLO, config=asked)
    chunks = list(client.models.generate_content_stream(model=CHAT, contents=HELLO, config=asked))
    texts, ended = ["", ""], {}
    for chunk in chunks:
        for candidate in chunk.candidates or ():
            assert candidate.content is not None
            index = candidate.index or 0
            texts[index] += "".join(part.text or "" for part in candidate.content.parts or ())
            if candidate.finish_reason is not None:
                ended[index] = candidate.finish_reason
    assert ended == {0: types.FinishReason.STOP, 1: types.FinishReason.STOP}
    assert whole.candidates is not None
    contents = [one.content for one in whole.candidates]
    assert texts == [(one.parts or [])[0].text for one in contents if one is not None]
    usage = chunks[-1].usage_metadata
    assert usage is not None
    assert usage.candidates_token_count == 80


def test_a_maximum_cuts_and_says_so(client: genai.Client) -> None:
    answer = client.models.generate_content(
        model=CHAT,
        contents=HELLO,
        config=config(
            max_output_tokens=5,
            http_options=types.HttpOptions(extra_body={"simulated_output_tokens": 50}),
        ),
    )
    assert answer.candidates is not None
    assert answer.candidates[0].finish_reason is types.FinishReason.MAX_TOKENS


def test_thoughts_are_apart_and_counted_apart(client: genai.Client) -> None:
    asked = config(
        max_output_tokens=400,
        thinking_config=types.ThinkingConfig(thinking_budget=100, include_thoughts=True),
    )
    answer = client.models.generate_content(model=CHAT, contents=HELLO, config=asked)
    assert answer.candidates is not None
    content = answer.candidates[0].content
    assert content is not None
    assert [bool(part.thought) for part in content.parts or ()] == [True, False]
    usage = answer.usage_metadata
    assert usage is not None
    assert (usage.thoughts_token_count, usage.candidates_token_count) == (100, 300)
    chunks = list(client.models.generate_content_stream(model=CHAT, contents=HELLO, config=asked))
    first = chunks[0].candidates
    assert first is not None
    assert first[0].content is not None
    assert (first[0].content.parts or [])[0].thought


def test_a_repeated_prompt_is_cached(client: genai.Client) -> None:
    answers = [
        client.models.generate_content(model=CHAT, contents="word " * 2_000) for _ in range(2)
    ]
    usage = answers[1].usage_metadata
    assert usage is not None
    assert usage.cached_content_token_count is not None
    assert usage.cached_content_token_count >= 1_024


def test_a_function_that_must_be_called_is_called(client: genai.Client) -> None:
    schema = types.Schema(
        type=types.Type.OBJECT,
        properties={
            "place": types.Schema(type=types.Type.STRING),
            "days": types.Schema(type=types.Type.INTEGER, minimum=1, maximum=9),
        },
    )
    weather = types.FunctionDeclaration(name="weather", parameters=schema)
    calling = types.FunctionCallingConfig(mode=types.FunctionCallingConfigMode.ANY)
    asked = config(
        tools=[types.Tool(function_declarations=[weather])],
        tool_config=types.ToolConfig(function_calling_config=calling),
    )
    answer = client.models.generate_content(model=CHAT, contents=HELLO, config=asked)
    assert answer.function_calls is not None
    call = answer.function_calls[0]
    assert call.name == "weather"
    assert call.args is not None
    assert isinstance(call.args["place"], str)
    assert 1 <= call.args["days"] <= 9
    *_, last = client.models.generate_content_stream(model=CHAT, contents=HELLO, config=asked)
    assert last.function_calls is not None
    assert last.function_calls[0].args == call.args


def test_json_fits_its_schema(client: genai.Client) -> None:
    schema = {
        "type": "OBJECT",
        "properties": {"names": {"type": "ARRAY", "items": {"type": "STRING"}}},
    }
    answer = client.models.generate_content(
        model=CHAT,
        contents=HELLO,
        config=config(response_mime_type="application/json", response_schema=schema),
    )
    names = orjson.loads(answer.text or "")["names"]
    assert names
    assert all(isinstance(name, str) for name in names)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_picture_decodes(client: genai.Client, *, stream: bool) -> None:
    asked = config(
        response_modalities=["IMAGE"], image_config=types.ImageConfig(aspect_ratio="16:9")
    )
    if stream:
        chunks = list(
            client.models.generate_content_stream(model=IMAGE, contents="A heron.", config=asked)
        )
    else:
        chunks = [client.models.generate_content(model=IMAGE, contents="A heron.", config=asked)]
    parts = [part for chunk in chunks for part in chunk.parts or () if part.inline_data]
    assert len(parts) == 1
    assert parts[0].inline_data is not None
    data = parts[0].inline_data.data
    assert data is not None
    assert parts[0].inline_data.mime_type == "image/png"
    assert 190_000 < len(data) < 210_000
    assert struct.unpack(">II", data[16:24]) == (1_344, 768)
    usage = chunks[-1].usage_metadata
    assert usage is not None
    assert usage.candidates_token_count == 1_290


@pytest.mark.parametrize("model", [PREDICTED, GEMINI_VECTOR], ids=["predict", "embedContent"])
@pytest.mark.parametrize("texts", [["one"], ["one", "two", "one"]], ids=["one", "several"])
def test_embeddings_have_the_right_length_and_order(
    client: genai.Client, model: str, texts: list[Any]
) -> None:
    made = client.models.embed_content(
        model=model,
        # Plain texts in a list are parts of one content to the SDK where it has embedContent.
        contents=[types.Content(parts=[types.Part(text=text)]) for text in texts],
        config=types.EmbedContentConfig(output_dimensionality=64),
    )
    assert made.embeddings is not None
    vectors = [one.values or [] for one in made.embeddings]
    assert [len(vector) for vector in vectors] == [64] * len(texts)
    assert vectors[0] == vectors[-1]
    assert math.isclose(math.hypot(*vectors[0]), 1.0, abs_tol=1e-5)
    if len(texts) > 1:
        assert vectors[0] != vectors[1]


def test_tokens_are_counted(client: genai.Client) -> None:
    counted = client.models.count_tokens(model=CHAT, contents=HELLO)
    answer = client.models.generate_content(model=CHAT, contents=HELLO)
    assert answer.usage_metadata is not None
    assert counted.total_tokens == answer.usage_metadata.prompt_token_count


def test_a_model_is_told(client: genai.Client) -> None:
    assert client.models.get(model=CHAT).name == f"publishers/google/models/{CHAT}"


# The SDK makes its own class of aiohttp's session, which aiohttp does not like.
@pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")
def test_the_asynchronous_client_reads_the_same(clouds: Speaking) -> None:
    async def main() -> None:
        client = client_of(clouds.url).aio
        async with client:
            whole = await client.models.generate_content(model=CHAT, contents=HELLO)
            stream = await client.models.generate_content_stream(model=CHAT, contents=HELLO)
            texts = [chunk.text or "" async for chunk in stream]
            assert "".join(texts)
            assert whole.text

    uvloop.run(main())
