"""Prompts that refer to what lies in a store, and inputs of embeddings, at the door."""

from typing import Any

import orjson
import pytest

from broker.records.data_refs import references_in
from tests.records.test_parsing import parsed, rejected

REF: dict[str, Any] = {"dataref": "s3://b/x.png", "dataref_size": 9, "dataref_sha256": "0a" * 32}


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {**REF, "detail": "low"}},
        {"type": "image_url", **REF, "dataref_type": "image/png"},
        {"type": "input_image", **REF},
        {"type": "input_audio", "input_audio": {**REF, "format": "wav"}},
        {"type": "file", "file": {**REF, "filename": "a.pdf"}},
        {"type": "file", "file": {**REF, "dataref_type": f"application/{'x' * 100}"}},
        {"type": "text", **REF, "dataref_type": "text/plain"},
    ],
)
def test_parts_may_come_by_reference(part: dict[str, object]) -> None:
    value = {"messages": [{"role": "user", "content": [part]}]}
    assert parsed(orjson.dumps(value)).fields == value


@pytest.mark.parametrize(
    ("model", "name"), [("chat-small", "prompt"), ("pictures", "prompt"), ("vectors", "input")]
)
def test_whole_texts_may_come_by_reference(model: str, name: str) -> None:
    value = {"model": model, name: REF}
    assert parsed(orjson.dumps(value)).fields == value


@pytest.mark.parametrize(
    "given",
    ["a", ["a", "b"], [1, 2], [[1, 2], [3]], [REF], ["a", REF, {**REF, "dataref_type": "a/b"}]],
)
def test_embedding_inputs_are_text_or_tokens_one_or_many(given: object) -> None:
    value = {"model": "vectors", "input": given}
    assert parsed(orjson.dumps(value)).fields == value


@pytest.mark.parametrize(
    "given",
    [
        *([], [[]], [1, "a"], [[1], "a"], [-1], [True], [1.5], [["a"]], {}, [[1], []], 5, True),
        *([REF, [1]], [1, REF], [[REF]], [{"type": "text", **REF}], [{"dataref": None}]),
    ],
)
def test_embedding_inputs_of_mixed_or_other_types_are_refused(given: object) -> None:
    result = rejected(orjson.dumps({"model": "vectors", "input": given}))
    assert result.code == "invalid_prompt"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"dataref": "no url"}, "URL"),
        ({"dataref": 5}, "URL"),
        ({"dataref": "s3://" + "x" * 3_000}, "URL"),
        ({"dataref": "s3://b/a b"}, "URL"),
        ({"dataref_size": None}, "dataref_size"),
        ({"dataref_size": 0}, "dataref_size"),
        ({"dataref_size": True}, "dataref_size"),
        ({"dataref_size": "9"}, "dataref_size"),
        ({"dataref_sha256": None}, "SHA-256"),
        ({"dataref_sha256": "0A" * 32}, "SHA-256"),
        ({"dataref_type": "png"}, "media type"),
        ({"dataref_type": "image/png\r\nx: y"}, "media type"),
        ({"url": "data:image/png;base64,AA=="}, "both"),
    ],
)
def test_a_reference_without_its_size_and_sum_is_refused(
    change: dict[str, object], told: str
) -> None:
    image = {"type": "image_url", "image_url": {**REF, **change}}
    result = rejected(orjson.dumps({"messages": [{"role": "user", "content": [image]}]}))
    assert result.code == "invalid_dataref"
    assert told in result.message
    items = {"input": [{"role": "user", "content": [image]}]}
    assert rejected(orjson.dumps(items)).code == "invalid_dataref"
    if "url" not in change:
        assert told in rejected(orjson.dumps({"prompt": {**REF, **change}})).message


def test_an_input_of_a_list_by_reference_is_named_when_it_is_wrong() -> None:
    for change, told in (
        ({"dataref_size": 0}, "dataref_size"),
        ({"dataref_sha256": "x"}, "SHA-256"),
        ({"dataref": "x"}, "URL"),
        ({"text": "x"}, "may have only"),
    ):
        given = ["a", REF, {**REF, **change}]
        result = rejected(orjson.dumps({"model": "vectors", "input": given}))
        assert result.code == "invalid_dataref"
        assert told in result.message
        assert "Input 2 of" in result.message


def test_a_bare_reference_is_no_item_of_a_chat() -> None:
    assert rejected(orjson.dumps({"input": [REF]})).code == "invalid_prompt"
    assert rejected(orjson.dumps({"messages": [REF]})).code == "invalid_messages"


def test_what_may_not_come_by_reference_is_refused() -> None:
    part = {"type": "video_url", "video_url": REF}
    value = {"messages": [{"role": "user", "content": [part]}]}
    assert rejected(orjson.dumps(value)).code == "invalid_dataref"
    both = {"type": "text", "text": "x", **REF}
    value = {"messages": [{"role": "user", "content": [both]}]}
    assert rejected(orjson.dumps(value)).code == "invalid_dataref"


def test_references_are_found_wherever_they_stand() -> None:
    inner = {"type": "image_url", "image_url": REF}
    record = {
        **REF,
        "body": {"data": [{"dataref": "a"}, {"b64_json": "x"}], "x": [[inner]]},
        "metadata": {"dataref": "b"},
        "error": {"dataref": 5},
    }
    found = [holder["dataref"] for holder in references_in(record)]
    assert sorted(found) == ["a", "b", REF["dataref"], REF["dataref"]]
