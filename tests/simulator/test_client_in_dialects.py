"""The workers' own adapters against the simulator, each in its dialect: answers and every fault.

Neither knows of the other: what they agree on is what the vendors say.
"""

import asyncio
import base64
from dataclasses import replace
from typing import Any

import pytest
import uvloop

from broker.core.retries import CONCURRENCY_LIMIT, Action, Transport, Verdict, verdict
from broker.records.work import Work
from broker.settings.providers import ProviderSettings, ServedModel
from tests.simulator.speaking import CHAT, IMAGE, KEY, PREDICTED, Speaking
from tests.workers.building import work as made
from workers.calling import CallResult, ProviderClient
from workers.credentials import Key
from workers.exchange import CallLimits
from workers.providers.dialect import Adapter
from workers.providers.registry import adapter_for

LIMITS = CallLimits(connect=5.0, first_byte=20.0, between_bytes=20.0, total=40.0)
PROVIDERS: dict[str, tuple[str, dict[str, Any]]] = {
    "openai": ("openai", {"dialect": "openai"}),
    "responses": ("openai", {"dialect": "openai", "api": "responses"}),
    "azure": ("azure", {"dialect": "azure"}),
    "azure-older": ("azure", {"dialect": "azure", "api_version": "2024-10-21"}),
    "gemini": ("google", {"dialect": "gemini"}),
    "vllm": ("coreweave", {"dialect": "vllm"}),
    "ollama": ("own", {"dialect": "ollama"}),
}
FILTERED_AND_FORCED = pytest.mark.parametrize(
    "where", [one for one in PROVIDERS if one != "ollama"]
)
"""Ollama has no content filter, and forces no tool."""
EVERYWHERE = pytest.mark.parametrize("where", PROVIDERS)
BOTH = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


def work_of(kind: str = "chat", *, stream: bool = False, **fields: Any) -> Work:
    given = dict(fields)
    if kind == "chat":
        given.setdefault("max_output_tokens", 40)
    return made(f"prompt-{kind}-{stream}", kind=kind, model=kind, stream=stream, fields=given)


def spoken_by(where: str) -> tuple[str, Adapter, dict[str, ServedModel]]:
    cloud, given = PROVIDERS[where]
    api = given.get("api")
    models = {
        "chat": ServedModel(name=CHAT, api=api),
        "image": ServedModel(name=IMAGE),
        "embedding": ServedModel(name=PREDICTED),
    }
    rest = {name: value for name, value in given.items() if name != "api"}
    return cloud, adapter_for(ProviderSettings(models=models, **rest)), models


def client_of(
    clouds: Speaking,
    cloud: str,
    adapter: Adapter,
    models: dict[str, ServedModel],
    key: str = KEY,
) -> ProviderClient:
    return ProviderClient(
        base_url=f"{clouds.url}/{cloud}{adapter.root}",
        adapter=adapter,
        limits=LIMITS,
        credential=Key(dict((adapter.key_header(key),))),
        models=models,
        trace_headers=True,
    )


def call(clouds: Speaking, where: str, work: Work, key: str = KEY) -> CallResult:
    cloud, adapter, models = spoken_by(where)

    async def main() -> CallResult:
        client = client_of(clouds, cloud, adapter, models, key)
        try:
            return await client.call(await client.prepare(work), 1)
        finally:
            await client.close()

    return uvloop.run(main())


@BOTH
@EVERYWHERE
def test_a_right_answer(clouds: Speaking, where: str, *, stream: bool) -> None:
    result = call(clouds, where, work_of(stream=stream))
    answer = result.answer
    assert answer is not None, result
    assert answer.text
    assert answer.text.endswith(".")
    assert (answer.finish_reason, answer.refusal) == ("stop", None)
    assert answer.usage.output_tokens == 40
    assert answer.usage.input_tokens is not None
    assert 5 < answer.usage.input_tokens < 20


@FILTERED_AND_FORCED
def test_whole_and_streamed_are_the_same_with_tools(clouds: Speaking, where: str) -> None:
    schema = {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}
    tool = {"type": "function", "function": {"name": "weather", "parameters": schema}}
    found = []
    for stream in (False, True):
        work = work_of(stream=stream, tools=[tool], tool_choice="required", max_output_tokens=200)
        # Of the same id, so that chance gives the same answer.
        answer = call(clouds, where, replace(work, id="same")).answer
        assert answer is not None
        assert answer.finish_reason == "tool_calls"
        (called,) = answer.body["choices"][0]["message"]["tool_calls"]
        found.append(called["function"])
    assert found[0] == found[1]
    assert found[0]["name"] == "weather"


@pytest.mark.parametrize("where", ["openai", "azure", "azure-older", "gemini"])
def test_a_picture(clouds: Speaking, where: str) -> None:
    result = call(clouds, where, work_of("image", prompt="A heron."))
    assert result.answer is not None, result
    (one,) = result.answer.body["data"]
    assert base64.b64decode(one["b64_json"]).startswith(b"\x89PNG")


@pytest.mark.parametrize("where", ["openai", "azure", "azure-older", "gemini", "vllm", "ollama"])
def test_embeddings(clouds: Speaking, where: str) -> None:
    work = work_of("embedding", input=["one", "two"], dimensions=32)
    result = call(clouds, where, work)
    assert result.answer is not None, result
    assert len(result.answer.body["data"]) == 2


def after(where: str, result: CallResult) -> Verdict:
    """What the dialect's table says of a failed call."""
    _, adapter, _ = spoken_by(where)
    return verdict(result.status, result.code, result.transport, adapter.retries)


FAULTS: list[tuple[dict[str, Any], Action]] = [
    ({"rate_limited": 1.0}, Action.RETRY),
    ({"server_errors": 1.0}, Action.RETRY),
    ({"outages": [{"to_s": 600}]}, Action.RETRY),
    ({"too_long": 1.0}, Action.MOVE),
    ({"spent": 1.0}, Action.MOVE),
]


@BOTH
@EVERYWHERE
@pytest.mark.parametrize(("fault", "action"), FAULTS, ids=[next(iter(one[0])) for one in FAULTS])
def test_what_follows_a_fault(
    clouds: Speaking, where: str, fault: dict[str, Any], action: Action, *, stream: bool
) -> None:
    clouds.remote.set_faults(PROVIDERS[where][0], fault)
    result = call(clouds, where, work_of(stream=stream))
    assert result.answer is None
    assert result.transport is None
    follows = after(where, result)
    assert follows.action is action, result
    assert follows.spent == ("spent" in fault)


@EVERYWHERE
def test_a_wrong_key_moves_the_prompt(clouds: Speaking, where: str) -> None:
    result = call(clouds, where, work_of(), key="another")
    assert result.status == 401
    assert after(where, result).action is Action.MOVE


@BOTH
@FILTERED_AND_FORCED
@pytest.mark.parametrize("how", ["refused", "filtered"])
def test_a_refusal_is_one_in_every_dialect(
    clouds: Speaking, where: str, how: str, *, stream: bool
) -> None:
    clouds.remote.set_faults(PROVIDERS[where][0], {how: 1.0})
    result = call(clouds, where, work_of(stream=stream))
    if result.answer is None:
        assert after(where, result).action is Action.REFUSED, result
    else:
        assert result.answer.refusal


@EVERYWHERE
@pytest.mark.parametrize("fault", ["cut_streams", "malformed", "stream_errors", "cuts"])
def test_a_spoilt_stream_is_no_answer(clouds: Speaking, where: str, fault: str) -> None:
    clouds.remote.set_faults(PROVIDERS[where][0], {fault: 1.0})
    for number in range(3):
        work = replace(work_of(stream=True), id=f"{fault}-{number}")
        result = call(clouds, where, work)
        assert result.answer is None
        if fault == "stream_errors":
            assert result.message
        else:
            expected = {
                "cut_streams": {Transport.STREAM_CUT},
                "malformed": {Transport.MALFORMED},
                "cuts": {Transport.CUT},
            }
            assert result.transport in expected[fault]


def test_limits_are_understood(clouds: Speaking) -> None:
    for where in ("openai", "azure"):
        clouds.remote.set_capacity(where, requests_per_minute=1_000, tokens_per_minute=100_000)
        seen = call(clouds, where, work_of()).limits
        assert seen is not None
        assert (seen.requests_limit, seen.tokens_limit) == (1_000, 100_000)
        assert seen.requests_left is not None
        assert 900 < seen.requests_left < 1_000
        assert seen.requests_reset_s is not None
        assert 0 < seen.requests_reset_s < 62


def test_too_many_at_once_has_its_own_code(clouds: Speaking) -> None:
    cloud, adapter, models = spoken_by("vllm")
    clouds.remote.set_capacity("coreweave", concurrency=1)
    clouds.remote.set_faults("coreweave", {"slow": 1.0, "slow_gap_s": 5.0}, keep=False)

    async def main() -> CallResult:
        client = client_of(clouds, cloud, adapter, models)
        try:
            works = [replace(work_of(stream=True), id=f"p{number}") for number in range(2)]
            prepared = [await client.prepare(work) for work in works]
            calls = [asyncio.create_task(client.call(each, 1)) for each in prepared]
            done, others = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
            for other in others:
                other.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            return done.pop().result()
        finally:
            await client.close()

    result = uvloop.run(main())
    assert (result.status, result.code) == (429, CONCURRENCY_LIMIT)
