"""Our adapter against the simulator's Vertex: every kind of prompt comes back whole."""

import base64
import struct
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import orjson
import pytest

from broker.core.retries import Action, verdict
from broker.settings.providers import ProviderSettings, ServedModel
from tests.simulator.speaking import (
    CHAT,
    GEMINI_VECTOR,
    IMAGE,
    KEY,
    PREDICTED,
    Speaking,
    four_dialects,
    speaking,
)
from tests.workers.building import LIMITS, on_loop, work
from workers.calling import CallResult, ProviderClient
from workers.credentials import Key
from workers.providers.dialect import Answer, Piece
from workers.providers.gemini import Gemini

HELLO = {"prompt": "Why is the sky blue?"}
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
}
TOOL = {"type": "function", "function": {"name": "look", "parameters": SCHEMA}}


@pytest.fixture(scope="module")
def clouds() -> Iterator[Speaking]:
    with speaking(four_dialects()) as running:
        yield running


def called(
    clouds: Speaking,
    fields: dict[str, Any],
    model: str = CHAT,
    key: str = KEY,
    pieces: list[Piece] | None = None,
    **given: Any,
) -> CallResult:
    """One call, as a worker makes it."""

    async def call() -> CallResult:
        adapter = Gemini(ProviderSettings(dialect="gemini"))
        client = ProviderClient(
            base_url=f"{clouds.url}/google{adapter.root}",
            adapter=adapter,
            limits=LIMITS,
            credential=Key(dict([adapter.key_header(key)])),
            models={"chat-small": ServedModel(name=model)},
            trace_headers=True,
        )
        try:
            asked = replace(work(**given), fields=fields, stream=fields.get("stream", False))
            on_pieces = None if pieces is None else pieces.extend
            return await client.call(await client.prepare(asked), 1, on_pieces)
        finally:
            await client.close()

    return on_loop(call())


def answered(clouds: Speaking, fields: dict[str, Any], *given: Any, **more: Any) -> Answer:
    result = called(clouds, fields, *given, **more)
    assert result.answer is not None, (result.status, result.code, result.message)
    return result.answer


def test_a_chat_whole_and_streamed(clouds: Speaking) -> None:
    fields = {**HELLO, "max_output_tokens": 30, "reasoning_effort": "low"}
    whole = answered(clouds, fields)
    pieces: list[Piece] = []
    streamed = answered(clouds, {**fields, "stream": True}, pieces=pieces)
    assert whole.text
    assert streamed.text == whole.text
    assert "".join(piece.delta.get("content", "") for piece in pieces) == whole.text
    assert streamed.usage.output_tokens == whole.usage.output_tokens == 30
    assert (whole.finish_reason, pieces[-1].finish_reason) == ("stop", "stop")
    assert whole.notes == {"traffic_type": "ON_DEMAND"}


def test_tools_and_schemas(clouds: Speaking) -> None:
    fields = {**HELLO, "tools": [TOOL], "tool_choice": "required"}
    for answer in (answered(clouds, fields), answered(clouds, {**fields, "stream": True})):
        (call,) = answer.body["choices"][0]["message"]["tool_calls"]
        assert call["function"]["name"] == "look"
        assert set(orjson.loads(call["function"]["arguments"])) == {"city"}
        assert answer.finish_reason == "tool_calls"
    schema = {"type": "json_schema", "json_schema": {"schema": SCHEMA}}
    answer = answered(clouds, {**HELLO, "response_format": schema})
    assert set(orjson.loads(answer.text or "")) == {"city"}


def test_several_answers(clouds: Speaking) -> None:
    answer = answered(clouds, {**HELLO, "n": 3, "max_output_tokens": 9})
    assert [choice["index"] for choice in answer.body["choices"]] == [0, 1, 2]


def test_a_picture(clouds: Speaking) -> None:
    answer = answered(clouds, {"prompt": "A cat.", "size": "1536x1024"}, IMAGE, kind="image")
    assert base64.b64decode(answer.body["data"][0]["b64_json"]).startswith(b"\x89PNG")
    assert answer.usage.images == 1


@pytest.mark.parametrize("model", [PREDICTED, GEMINI_VECTOR])
@pytest.mark.parametrize("inputs", [["a"], ["a", "b", "a"]])
def test_embeddings(clouds: Speaking, model: str, inputs: list[str]) -> None:
    fields = {"input": inputs, "dimensions": 8}
    answer = answered(clouds, fields, model, kind="embedding")
    rows = [base64.b64decode(row["embedding"]) for row in answer.body["data"]]
    assert [len(struct.unpack("<8f", row)) for row in rows] == [8] * len(inputs)
    assert rows[0] == rows[-1]
    assert answer.usage.input_tokens


def test_a_wrong_key_says_nothing_of_the_prompt(clouds: Speaking) -> None:
    result = called(clouds, HELLO, key="another")
    assert result.answer is None
    row = verdict(result.status, result.code, table=Gemini.retries)
    assert (row.action, row.unhealthy) == (Action.MOVE, True)


def test_a_model_that_is_not_there_moves_on(clouds: Speaking) -> None:
    result = called(clouds, HELLO, "gemini-0")
    assert (result.status, result.code) == (404, "NOT_FOUND")
    assert verdict(404, result.code, table=Gemini.retries).action is Action.MOVE
