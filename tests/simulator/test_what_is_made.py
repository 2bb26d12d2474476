"""The pure parts of answers: pictures, vectors, JSON of a schema, what is cached."""

import math
import struct
import zlib
from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.simulator.json_answer import MOST_VALUES, JsonAnswer
from workers.simulator.pictures import SIGNATURE, picture
from workers.simulator.prompt_cache import LEAST_TOKENS, REMEMBERED, PromptCache
from workers.simulator.vectors import embedding


def chunks_of(png: bytes) -> list[tuple[bytes, bytes]]:
    """The chunks of a PNG file, each with its sum checked."""
    assert png.startswith(SIGNATURE)
    found, place = [], len(SIGNATURE)
    while place < len(png):
        (size,) = struct.unpack(">I", png[place : place + 4])
        kind, data = png[place + 4 : place + 8], png[place + 8 : place + 8 + size]
        (total,) = struct.unpack(">I", png[place + 8 + size : place + 12 + size])
        assert zlib.crc32(kind + data) == total
        found.append((kind, data))
        place += 12 + size
    return found


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 600), st.integers(1, 600), st.integers(100, 60_000), st.floats(0.0, 1.0))
def test_a_picture_is_a_whole_png_of_its_size(
    width: int, height: int, size: int, seed: float
) -> None:
    made = picture(width, height, size, seed)
    chunks = chunks_of(made)
    assert [kind for kind, _ in chunks if kind[:1].isupper()] == [b"IHDR", b"IDAT", b"IEND"]
    header = struct.unpack(">IIBBBBB", chunks[0][1])
    assert header == (width, height, 1, 0, 0, 0, 0)
    pixels = zlib.decompress(chunks[1][1])
    row = (width + 7) // 8 + 1
    assert len(pixels) == row * height
    assert not any(pixels[::row])  # every line says that it is not filtered
    assert abs(len(made) - size) < 600
    assert made == picture(width, height, size, seed)


def test_a_picture_cannot_be_made_smaller() -> None:
    made = picture(1_024, 1_024, 200_000, 0.5)
    assert len(zlib.compress(made, 9)) > 0.95 * len(made)
    assert made != picture(1_024, 1_024, 200_000, 0.25)


@settings(deadline=None)
@given(st.text(), st.integers(1, 64))
def test_a_vector_hangs_on_its_text_and_begins_as_a_longer_one_does(text: str, size: int) -> None:
    short, long = embedding(text, size), embedding(text, 2 * size)
    assert math.isclose(math.hypot(*short), 1.0, abs_tol=1e-5)
    assert short == embedding(text, size)
    scale = math.hypot(*long[:size])
    for one, other in zip(short, long, strict=False):
        assert math.isclose(one * scale, other, abs_tol=1e-5)


def words(tokens: int, chance: Random) -> str:
    return " ".join(chance.choice("abcdef") for _ in range(tokens))


def made(schema: dict[str, Any], seed: int = 1) -> Any:
    return JsonAnswer(schema, Random(seed), words).value()


SCALARS = st.sampled_from(
    [
        {"type": "string"},
        {"type": "STRING", "maxLength": 3},
        {"type": "string", "minLength": 40},
        {"type": "string", "format": "date-time"},
        {"type": "integer", "minimum": 3, "maximum": 5},
        {"type": "NUMBER"},
        {"type": ["null", "boolean"]},
        {"enum": ["a", 1, None]},
        {"const": {"x": 1}},
        {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        {},
    ]
)
SCHEMAS = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.builds(
            lambda properties: {"type": "object", "properties": properties},
            st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
        ),
        st.builds(lambda items: {"type": "ARRAY", "items": items, "minItems": "1"}, inner),
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(SCHEMAS, st.integers(0, 100))
def test_every_schema_gets_json(schema: dict[str, Any], seed: int) -> None:
    assert orjson.loads(orjson.dumps(made(schema, seed))) is not Ellipsis


@settings(deadline=None, max_examples=50)
@given(
    st.recursive(
        st.none() | st.text() | st.integers(),
        lambda one: (
            st.lists(one)
            | st.dictionaries(
                st.sampled_from(
                    ["type", "items", "properties", "anyOf", "$ref", "enum", "minimum"]
                ),
                one,
            )
        ),
    )
)
def test_no_schema_crashes_it(schema: Any) -> None:
    JsonAnswer(schema, Random(1), words).value()


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"type": "object", "properties": {name: {"$ref": "#"} for name in "abcdefghij"}},
        {"type": "array", "items": {"$ref": "#"}, "minItems": 20},
        {"anyOf": [{"$ref": "#"}]},
    ],
)
def test_a_schema_that_refers_to_itself_has_an_end(schema: dict[str, Any]) -> None:
    assert len(orjson.dumps(made(schema))) < 20 * MOST_VALUES


def test_bounds_and_lengths_are_kept() -> None:
    schema = {
        "type": "object",
        "properties": {
            "few": {"type": "array", "items": {"type": "integer", "minimum": 2}, "maxItems": 1},
            "short": {"type": "string", "maxLength": 4},
            "long": {"type": "string", "minLength": 300},
            "ratio": {"type": "number", "minimum": 0.25, "maximum": 0.5},
        },
    }
    for seed in range(20):
        value = made(schema, seed)
        assert len(value["few"]) == 1
        assert value["few"][0] >= 2
        assert len(value["short"]) <= 4
        assert len(value["long"]) >= 300
        assert 0.25 <= value["ratio"] <= 0.5


def test_only_long_prompts_are_cached_and_only_so_many() -> None:
    cache = PromptCache()
    assert cache.cached(("hello",), LEAST_TOKENS - 1) == 0
    assert cache.cached(("hello",), LEAST_TOKENS - 1) == 0
    long = "word " * 3_000
    assert cache.cached((long,), 3_001) == 0
    assert cache.cached((long,), 3_001) == 2_944
    assert cache.cached((long, "and more"), 3_003) == LEAST_TOKENS
    for number in range(REMEMBERED):
        cache.cached((str(number),), LEAST_TOKENS)
    assert cache.cached((long,), 3_001) == 0
