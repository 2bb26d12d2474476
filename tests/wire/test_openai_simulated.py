"""Our adapters of OpenAI's family against the simulator of each vendor: every kind comes back."""

import base64
import struct
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

import orjson
import pytest

from broker.core.retries import Action, verdict
from broker.settings.providers import ProviderSettings, ServedModel
from tests.simulator.speaking import CHAT, IMAGE, KEY, VECTOR, Speaking, four_dialects, speaking
from tests.workers.building import LIMITS, on_loop, work
from tests.workers.providers.stream_joining import same_pieces
from workers.calling import CallResult, ProviderClient
from workers.credentials import Key
from workers.providers.dialect import Answer, Piece
from workers.providers.registry import adapter_for

HELLO = {"prompt": "Why is the sky blue?", "max_output_tokens": 30}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"type": "function", "function": {"name": "look", "parameters": SCHEMA}}

SPOKEN: Final[Mapping[str, tuple[str, ProviderSettings, str | None]]] = {
    "openai": ("openai", ProviderSettings(), None),
    "openai by responses": ("openai", ProviderSettings(), "responses"),
    "azure": ("azure", ProviderSettings(dialect="azure"), None),
    "azure by deployments": (
        *("azure", ProviderSettings(dialect="azure", api_version="2024-10-21")),
        None,
    ),
    "azure by responses": ("azure", ProviderSettings(dialect="azure"), "responses"),
    "vllm": ("coreweave", ProviderSettings(dialect="vllm"), None),
}
"""The cloud, the settings, and the form of calling."""

CHATTING = [name for name in SPOKEN if "responses" not in name]
ALL = pytest.mark.parametrize("spoken", SPOKEN)


@pytest.fixture(scope="module")
def running() -> Iterator[Speaking]:
    limited = four_dialects(requests_per_minute=6_000, tokens_per_minute=600_000)
    with speaking(limited) as simulator:
        yield simulator


@pytest.fixture
def clouds(running: Speaking) -> Speaking:
    running.well()
    return running


def called(
    clouds: Speaking,
    spoken: str,
    fields: dict[str, Any],
    *,
    model: str = CHAT,
    pieces: list[Piece] | None = None,
    key: str = KEY,
    **given: Any,
) -> CallResult:
    """One call, as a worker makes it."""
    cloud, settings, api = SPOKEN[spoken]
    models = {"chat-small": ServedModel(name=model, api=api)}
    adapter = adapter_for(settings.model_copy(update={"models": models}))

    async def call() -> CallResult:
        client = ProviderClient(
            base_url=f"{clouds.url}/{cloud}{adapter.root}",
            adapter=adapter,
            limits=LIMITS,
            credential=Key(dict([adapter.key_header(key)])),
            models=models,
            trace_headers=True,
        )
        try:
            asked = replace(work(**given), fields=fields, stream=fields.get("stream", False))
            on_pieces = None if pieces is None else pieces.extend
            return await client.call(await client.prepare(asked), 1, on_pieces)
        finally:
            await client.close()

    return on_loop(call())


def answered(clouds: Speaking, spoken: str, fields: dict[str, Any], **more: Any) -> Answer:
    result = called(clouds, spoken, fields, **more)
    assert result.answer is not None, (result.status, result.code, result.message)
    return result.answer


@ALL
def test_a_chat_whole_and_streamed(clouds: Speaking, spoken: str) -> None:
    whole = answered(clouds, spoken, HELLO)
    pieces: list[Piece] = []
    streamed = answered(clouds, spoken, {**HELLO, "stream": True}, pieces=pieces)
    assert whole.text
    assert streamed.text == whole.text
    assert streamed.usage.output_tokens == whole.usage.output_tokens == 30
    assert streamed.usage.input_tokens == whole.usage.input_tokens
    assert streamed.finish_reason == whole.finish_reason == pieces[-1].finish_reason
    same_pieces(streamed, pieces)


@ALL
def test_tools_and_schemas(clouds: Speaking, spoken: str) -> None:
    fields = {**HELLO, "tools": [TOOL], "tool_choice": "required"}
    pieces: list[Piece] = []
    streamed = answered(clouds, spoken, {**fields, "stream": True}, pieces=pieces)
    same_pieces(streamed, pieces)
    for answer in (answered(clouds, spoken, fields), streamed):
        (call,) = answer.body["choices"][0]["message"]["tool_calls"]
        assert call["function"]["name"] == "look"
        assert set(orjson.loads(call["function"]["arguments"])) == {"city"}
        assert answer.finish_reason == "tool_calls"
    schema = {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA, "strict": True}}
    answer = answered(clouds, spoken, {**HELLO, "response_format": schema})
    assert set(orjson.loads(answer.text or "")) == {"city"}


@pytest.mark.parametrize("spoken", CHATTING)
@pytest.mark.parametrize("stream", [False, True])
def test_several_answers(clouds: Speaking, spoken: str, *, stream: bool) -> None:
    answer = answered(clouds, spoken, {**HELLO, "n": 3, "stream": stream})
    assert [choice["index"] for choice in answer.body["choices"]] == [0, 1, 2]


@pytest.mark.parametrize("spoken", CHATTING)
def test_pictures_and_embeddings(clouds: Speaking, spoken: str) -> None:
    if spoken != "vllm":
        drawn = answered(clouds, spoken, {"prompt": "A cat.", "n": 2}, model=IMAGE, kind="image")
        for picture in drawn.body["data"]:
            assert base64.b64decode(picture["b64_json"]).startswith(b"\x89PNG")
        assert drawn.usage.images == 2
        assert drawn.usage.output_tokens
    fields = {"input": ["a", "b", "a"]}
    found = answered(clouds, spoken, fields, model=VECTOR, kind="embedding")
    rows = [base64.b64decode(row["embedding"]) for row in found.body["data"]]
    assert [len(struct.unpack("<256f", row)) for row in rows] == [256] * 3
    assert rows[0] == rows[2] != rows[1]
    plain = {**fields, "encoding_format": "float"}
    numbers = answered(clouds, spoken, plain, model=VECTOR, kind="embedding").body["data"]
    assert list(struct.unpack("<256f", rows[0])) == pytest.approx(numbers[0]["embedding"], abs=1e-6)


FAULTS: Final[Mapping[str, tuple[dict[str, Any], Action, bool]]] = {
    "rate limited": ({"rate_limited": 1.0, "retry_after_s": 0.2}, Action.RETRY, False),
    "spent": ({"spent": 1.0}, Action.MOVE, True),
    "refused": ({"refused": 1.0}, Action.REFUSED, False),
    "too long": ({"too_long": 1.0}, Action.MOVE, False),
    "sick": ({"server_errors": 1.0}, Action.RETRY, False),
    "away": ({"outages": [{"to_s": 600}]}, Action.RETRY, False),
    "malformed": ({"malformed": 1.0}, Action.RETRY, False),
    "an error inside": ({"stream_errors": 1.0}, Action.RETRY, False),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("stream", [False, True])
@ALL
def test_what_goes_wrong_leads_where_it_should(
    clouds: Speaking, spoken: str, fault: str, *, stream: bool
) -> None:
    cloud, settings, _ = SPOKEN[spoken]
    given, action, spent = FAULTS[fault]
    clouds.remote.set_faults(cloud, given)
    result = called(clouds, spoken, {**HELLO, "stream": stream})
    assert result.answer is None
    code = None if result.transport is not None else result.code
    table = adapter_for(settings).retries
    row = verdict(result.status, code, result.transport, table)
    assert (row.action, row.spent) == (action, spent), (result.status, result.code)


@pytest.mark.parametrize("stream", [False, True])
@ALL
def test_an_answer_that_is_filtered_is_refused(
    clouds: Speaking, spoken: str, *, stream: bool
) -> None:
    clouds.remote.set_faults(SPOKEN[spoken][0], {"filtered": 1.0})
    assert answered(clouds, spoken, {**HELLO, "stream": stream}).refusal == "answer_filtered"


@pytest.mark.parametrize("stream", [False, True])
@ALL
def test_a_stream_that_is_cut_is_no_answer(clouds: Speaking, spoken: str, *, stream: bool) -> None:
    clouds.remote.set_faults(SPOKEN[spoken][0], {"cut_streams": 1.0})
    result = called(clouds, spoken, {**HELLO, "stream": stream})
    assert result.transport is not None


@ALL
def test_a_wrong_key_says_nothing_of_the_prompt(clouds: Speaking, spoken: str) -> None:
    result = called(clouds, spoken, HELLO, key="another")
    table = adapter_for(SPOKEN[spoken][1]).retries
    row = verdict(result.status, result.code, table=table)
    assert (row.action, row.unhealthy) == (Action.MOVE, True)


@ALL
def test_a_model_that_is_not_there_moves_on(clouds: Speaking, spoken: str) -> None:
    result = called(clouds, spoken, HELLO, model="gpt-0")
    table = adapter_for(SPOKEN[spoken][1]).retries
    row = verdict(result.status, result.code, table=table)
    assert (result.status, row.action, row.unhealthy) == (404, Action.MOVE, False)


@ALL
def test_limits_are_told_as_they_are(clouds: Speaking, spoken: str) -> None:
    for fields in (HELLO, {**HELLO, "stream": True}):
        limits = called(clouds, spoken, fields).limits
        if spoken == "vllm":
            assert limits is None
            continue
        assert limits is not None
        assert (limits.requests_limit, limits.tokens_limit) == (6_000, 600_000)
        assert limits.requests_left is not None
        assert limits.tokens_left is not None
        assert 0 < limits.requests_left < 6_000
        assert 0 < limits.tokens_left < 600_000
        assert limits.tokens_reset_s is not None
        assert 0 < limits.tokens_reset_s < 120
