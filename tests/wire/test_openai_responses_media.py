"""What we ask for responses, pictures and embeddings, beside what the official SDK asks for."""

import base64
import struct
from collections.abc import Mapping
from typing import Any

import pytest
from openai import OpenAI

from tests.wire.openai_comparing import DIALECTS, MODEL, ours, same
from tests.wire.openai_responses_prompts import RESPONSE, RESPONSE_STREAM, RESPONSES
from tests.wire.recording import Recording

RESPONDING = ("openai", "azure", "azure by deployments")
DRAWING = ("openai", "a compatible server", "azure", "azure by deployments")
VECTORS = ([0.5, -1.0], [0.25, 2.0])


@pytest.mark.parametrize("tried", RESPONSES)
@pytest.mark.parametrize("spoken", RESPONDING)
def test_a_response_is_asked_for_as_the_sdk_does(
    server: Recording, sdks: Mapping[str, OpenAI], spoken: str, tried: str
) -> None:
    dialect, (fields, given) = DIALECTS[spoken], RESPONSES[tried]
    server.answers(RESPONSE)
    said = sdks[spoken].responses.create(model=MODEL, **given)
    theirs = server.last
    result = ours(server, dialect, fields, api="responses")
    assert result.answer is not None
    assert said.output_text == result.answer.text == "Yes."
    same(theirs, server.last, dialect)


@pytest.mark.parametrize("spoken", RESPONDING)
def test_a_streamed_response_is_asked_for_and_read_as_the_sdk_does(
    server: Recording, sdks: Mapping[str, OpenAI], spoken: str
) -> None:
    dialect, (fields, given) = DIALECTS[spoken], RESPONSES["tools"]
    server.answers(RESPONSE_STREAM)
    with sdks[spoken].responses.create(model=MODEL, stream=True, **given) as stream:
        events = list(stream)
    theirs = server.last
    result = ours(server, dialect, {**fields, "stream": True}, api="responses")
    assert result.answer is not None
    told = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(told) == result.answer.text == "Yes."
    assert (result.usage.input_tokens, result.usage.cached_input_tokens) == (3, 1)
    assert (result.usage.output_tokens, result.usage.reasoning_tokens) == (7, 4)
    same(theirs, server.last, dialect)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"n": 2, "size": "1024x1536", "quality": "low"},
        {"background": "transparent", "output_format": "webp", "output_compression": 50},
        {"moderation": "low", "user": "u"},
    ],
)
@pytest.mark.parametrize("spoken", DRAWING)
def test_pictures_are_asked_for_as_the_sdk_does(
    server: Recording, sdks: Mapping[str, OpenAI], spoken: str, options: dict[str, Any]
) -> None:
    dialect = DIALECTS[spoken]
    made = [{"b64_json": "QQ=="} for _ in range(options.get("n", 1))]
    usage = {"input_tokens": 5, "output_tokens": 272, "total_tokens": 277}
    server.answers({"created": 1, "data": made, "usage": usage})
    said = sdks[spoken].images.generate(model=MODEL, prompt="A cat.", **options)
    theirs = server.last
    result = ours(server, dialect, {"prompt": "A cat.", **options}, kind="image")
    assert result.answer is not None
    assert said.data is not None
    assert [picture.b64_json for picture in said.data] == [
        picture["b64_json"] for picture in result.answer.body["data"]
    ]
    usage_of = result.usage
    assert (usage_of.input_tokens, usage_of.output_tokens, usage_of.images) == (5, 272, len(made))
    same(theirs, server.last, dialect)


@pytest.mark.parametrize(
    ("given", "options"),
    [
        ("one", {}),
        (["one", "two"], {}),
        (["one", "two"], {"encoding_format": "float", "dimensions": 2, "user": "u"}),
        ([[1, 2], [3]], {"encoding_format": "base64"}),
    ],
)
@pytest.mark.parametrize("spoken", DIALECTS)
def test_embeddings_are_asked_for_as_the_sdk_does(
    server: Recording, sdks: Mapping[str, OpenAI], spoken: str, given: Any, options: dict[str, Any]
) -> None:
    dialect = DIALECTS[spoken]
    plain = options.get("encoding_format") == "float"
    count = len(given) if isinstance(given, list) else 1
    rows = [
        {
            "object": "embedding",
            "index": index,
            "embedding": vector
            if plain
            else base64.b64encode(struct.pack("<2f", *vector)).decode(),
        }
        for index, vector in list(enumerate(VECTORS[:count]))[::-1]
    ]
    usage = {"prompt_tokens": 4, "total_tokens": 4}
    server.answers({"object": "list", "data": rows, "model": "m", "usage": usage})
    said = sdks[spoken].embeddings.create(model=MODEL, input=given, **options)
    theirs = server.last
    result = ours(server, dialect, {"input": given, **options}, kind="embedding")
    assert result.answer is not None
    got = [row["embedding"] for row in result.answer.body["data"]]
    if not plain:
        assert all(isinstance(text, str) for text in got), "they stay as small as they came"
        got = [list(struct.unpack("<2f", base64.b64decode(text))) for text in got]
    assert got == [list(vector) for vector in VECTORS[:count]], "in the order of the inputs"
    if options.get("encoding_format") != "base64":  # asked for so, the SDK leaves it packed
        assert sorted(row.embedding for row in said.data) == sorted(got)
    assert (result.usage.input_tokens, result.usage.output_tokens) == (4, 0)
    same(theirs, server.last, dialect)
