"""What we ask of Vertex, beside what Google's own SDK asks for the same prompt."""

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

import pytest
from google import genai
from google.genai import types
from google.oauth2.credentials import Credentials

from broker.settings.providers import ProviderSettings, ServedModel
from tests.wire.gemini_prompts import CHATS, PICTURE, PNG, STREAM, WHOLE, text
from tests.wire.recording import Asked, Recording, recording
from tests.workers.building import LIMITS, on_loop, work
from workers.calling import CallResult, ProviderClient
from workers.credentials import Key
from workers.providers.gemini import Gemini

DIFFERENCES: Final[Mapping[str, str]] = {
    "header accept": "we say that we read JSON",
    "header accept-encoding": "as the caller's connection has it, for every dialect",
    "header connection": "HTTP/1.1 keeps connections alive without being told",
    "header user-agent": "who calls",
    "header x-goog-api-client": "which SDK calls; we are none",
    "empty generationConfig": "the SDK sends one where there is nothing to set",
    "base64 for URLs": "the SDK writes - and _ for + and /; Google's JSON reads both",
    "snake_case": "the SDK leaves some names in Python's spelling; Google's JSON reads both",
    "autoTruncate": "Vertex would cut a long text in silence; OpenAI's meaning is to refuse it",
}
"""Every intended difference between the SDK's request and ours, and why."""

MODEL = "gemini-3-flash"
OWN_NAMES: Final = frozenset({"parametersJsonSchema", "responseJsonSchema", "args", "response"})
"""Below these the names are the sender's."""


@pytest.fixture(scope="module")
def server() -> Iterator[Recording]:
    with recording() as kept:
        yield kept


@pytest.fixture(scope="module")
def sdk(server: Recording) -> Iterator[genai.Client]:
    """The SDK in Vertex mode, with a token that needs no refreshing."""
    with genai.Client(
        vertexai=True,
        project="a-project",
        location="us-central1",
        credentials=Credentials("a-token"),  # type: ignore[no-untyped-call]  # theirs
        http_options=types.HttpOptions(base_url=server.url, api_version="v1"),
    ) as client:
        yield client


def ours(
    server: Recording, fields: dict[str, Any], served: ServedModel, **given: Any
) -> CallResult:
    """Make the call as a worker does."""

    async def call() -> CallResult:
        provider = ProviderSettings(
            dialect="gemini", project="a-project", location="us-central1", auth="google"
        )
        client = ProviderClient(
            base_url=server.url,
            adapter=Gemini(provider),
            limits=LIMITS,
            credential=Key({"Authorization": "Bearer a-token"}),
            models={"chat-small": served},
            trace_headers=False,
        )
        try:
            asked = replace(work(**given), fields=fields)
            return await client.call(await client.prepare(asked), 1)
        finally:
            await client.close()

    return on_loop(call())


_PLAIN_BASE64 = str.maketrans("-_", "+/")


def camel(value: Any) -> Any:
    """The same JSON with Google's spelling of names, but for names that the sender made."""
    if isinstance(value, list):
        return [camel(each) for each in value]
    if not isinstance(value, dict):
        return value
    spelt: dict[str, Any] = {}
    for name, inner in value.items():
        google = re.sub(r"_([a-z])", lambda found: found.group(1).upper(), name)
        # An instance of `predict` is no message of Google's: its names are spelt as they are.
        google = name if name == "task_type" else google
        if google == "data" and isinstance(inner, str):
            inner = inner.translate(_PLAIN_BASE64)  # noqa: PLW2901 - the same bytes, spelt anew
        spelt[google] = inner if google in OWN_NAMES else camel(inner)
    return spelt


def same(theirs: Asked, mine: Asked, *differing: str) -> None:
    """Compare two requests field by field, but for what stands in DIFFERENCES."""
    assert (mine.method, mine.path) == (theirs.method, theirs.path)
    assert headers_of(mine) == headers_of(theirs)
    assert camel(mine.body) == mine.body, "our own names are in one spelling"
    expected, got = camel(theirs.body), mine.body
    if expected.get("generationConfig") == {}:
        del expected["generationConfig"]
    for name in differing:
        assert name in DIFFERENCES
        assert expected != got, f"{name} makes no difference"
        without(expected, name)
        without(got, name)
    assert got == expected


def headers_of(asked: Asked) -> dict[str, str]:
    """Headers, but for those that tell only of the connection and of who calls."""
    left_out = {name.removeprefix("header ") for name in DIFFERENCES}
    left_out |= {"host", "content-length"}
    return {name: value for name, value in asked.headers.items() if name not in left_out}


def without(body: Any, name: str) -> None:
    """Leave a name out wherever it stands."""
    for inner in body if isinstance(body, list) else body.values():
        if isinstance(inner, dict | list):
            without(inner, name)
    if isinstance(body, dict):
        body.pop(name, None)


@pytest.mark.parametrize("tried", CHATS)
def test_a_chat_is_asked_for_as_the_sdk_does(
    server: Recording, sdk: genai.Client, tried: str
) -> None:
    fields, contents, config = CHATS[tried]
    server.answers(WHOLE)
    said = sdk.models.generate_content(
        model=MODEL, contents=contents, config=types.GenerateContentConfig(**config)
    )
    theirs = server.last
    result = ours(server, fields, ServedModel(name=MODEL))
    assert result.answer is not None
    assert said.text == result.answer.text == "Yes."
    same(theirs, server.last)


def test_a_stream_is_asked_for_as_the_sdk_does(server: Recording, sdk: genai.Client) -> None:
    server.answers(STREAM)
    config = types.GenerateContentConfig(max_output_tokens=9)
    chunks = list(sdk.models.generate_content_stream(model=MODEL, contents="Why?", config=config))
    theirs = server.last
    fields = {"prompt": "Why?", "stream": True, "max_tokens": 9}
    result = ours(server, fields, ServedModel(name=MODEL), stream=True)
    assert result.answer is not None
    assert [chunk.text for chunk in chunks] == [result.answer.text] == ["Yes."]
    same(theirs, server.last)


def test_a_picture_is_asked_for_as_the_sdk_does(server: Recording, sdk: genai.Client) -> None:
    server.answers(PICTURE)
    said = sdk.models.generate_content(
        model="gemini-3-flash-image",
        contents="A cat.",
        config=types.GenerateContentConfig(
            response_modalities=["TEXT", "IMAGE"],
            image_config=types.ImageConfig(
                aspect_ratio="3:2", image_size="2K", output_mime_type="image/jpeg"
            ),
        ),
    )
    theirs = server.last
    fields = {"prompt": "A cat.", "size": "3072x2048", "output_format": "jpeg"}
    result = ours(server, fields, ServedModel(name="gemini-3-flash-image"), kind="image")
    assert result.answer is not None
    parts = said.parts or []
    assert parts[1].inline_data is not None
    assert parts[1].inline_data.data == PNG
    assert base64.b64decode(result.answer.body["data"][0]["b64_json"]) == PNG
    same(theirs, server.last)


EMBEDDING = {"values": [0.25, -1.5, 3.0], "statistics": {"token_count": 2.0, "truncated": False}}


@pytest.mark.parametrize(
    ("model", "inputs", "reply"),
    [
        (
            "text-embedding-005",
            ["a", "b"],
            {"predictions": [{"embeddings": EMBEDDING}, {"embeddings": EMBEDDING}]},
        ),
        (
            "gemini-embedding-2",
            ["a"],
            {"embedding": EMBEDDING, "usageMetadata": {"promptTokenCount": 2}},
        ),
        ("gemini-embedding-2", ["a", "b"], {"embeddings": [EMBEDDING, EMBEDDING]}),
    ],
    ids=["predict", "embedContent", "batchEmbedContents"],
)
def test_embeddings_are_asked_for_as_the_sdk_does(
    server: Recording, sdk: genai.Client, model: str, inputs: list[str], reply: Any
) -> None:
    server.answers(reply)
    # A list of texts would be several parts of one content, and so one embedding.
    contents: Any = inputs if "gemini" not in model else [text("user", one) for one in inputs]
    said = sdk.models.embed_content(
        model=model,
        contents=contents,
        config=types.EmbedContentConfig(output_dimensionality=3, task_type="RETRIEVAL_QUERY"),
    )
    theirs = server.last
    fields = {
        "input": inputs,
        "dimensions": 3,
        "task_type": "RETRIEVAL_QUERY",
        "encoding_format": "float",
    }
    result = ours(server, fields, ServedModel(name=model), kind="embedding")
    assert result.answer is not None
    rows = [row["embedding"] for row in result.answer.body["data"]]
    assert (
        rows
        == [each.values for each in said.embeddings or []]
        == [EMBEDDING["values"]] * len(inputs)
    )
    assert result.usage.input_tokens == 2 * len(inputs)
    same(theirs, server.last, "autoTruncate")


def test_with_a_key_alone_it_is_vertex_express_mode(server: Recording) -> None:
    server.answers(WHOLE)
    with genai.Client(
        vertexai=True,
        api_key="a-key",
        http_options=types.HttpOptions(base_url=server.url, api_version="v1"),
    ) as client:
        client.models.generate_content(model=MODEL, contents="Why?")
    theirs = server.last
    adapter = Gemini(ProviderSettings(dialect="gemini", base_url=server.url, api_key="a-key"))
    request = adapter.request(work(text="Why?"), ServedModel(name=MODEL))
    name, key = adapter.key_header("a-key")
    assert theirs.path == request.path
    assert theirs.headers[name] == key
