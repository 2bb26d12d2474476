"""Prompts through Kafka, classifier and worker to a backend that we did not write, and back."""

import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from broker.core.chunk_reading import ChunkReader
from broker.log.embedded import Running
from broker.records.chunk import decode_chunk
from broker.settings import load_settings
from tests.faults.rig import TOPICS
from tests.llama.tiny_model import CONTEXT
from tests.system.conversation import Conversation, talking


@pytest.fixture(scope="module")
def talk(
    kafka: Running, llama: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Conversation]:
    """A classifier and one worker, whose provider is llama.cpp."""
    settings = load_settings(
        kafka={"bootstrap": kafka.bootstrap, "prefix": f"l{secrets.token_hex(4)}"},
        topics=TOPICS,
        models={"talk": {"default": True}, "vectors": {"kind": "embedding", "default": True}},
        providers={
            "gpus": {
                "dialect": "vllm",
                "base_url": f"{llama}/v1",
                "auth": "none",
                "models": {"talk": "tiny", "vectors": "tiny"},
                "max_in_flight": 4,
                "billing": "hourly",
            }
        },
        simulator={"fast": True},
        log={"format": "json"},
    )
    with talking(settings, tmp_path_factory.mktemp("logs")) as conversation:
        yield conversation


def test_prompts_of_every_kind_are_answered_once(talk: Conversation) -> None:
    limits = {f"way-{number}": 1 + number % 20 for number in range(30)}
    for identity, limit in limits.items():
        talk.ask(id=identity, prompt="Why is the sky blue?", max_output_tokens=limit)
    talk.ask(id="way-vectors", kind="embedding", input=["sky", "sea"])
    talk.ask(id="way-long", prompt="word " * CONTEXT)
    found = talk.completions([*limits, "way-vectors", "way-long"])
    for identity, limit in limits.items():
        body = succeeded(found[identity].body)
        assert body["provider_model"] == "tiny"
        assert 0 < body["output_tokens"] <= limit
        assert body["cost_usd"] == 0
    vectors = succeeded(found["way-vectors"].body)
    assert [row["index"] for row in vectors["body"]["data"]] == [0, 1]
    refused = found["way-long"].body
    assert refused["status"] == "failed"
    assert refused["error"]["provider_status"] == 400
    assert refused["calls"] == 1, "asked once: the next answer would be the same"


def test_the_pieces_of_a_stream_are_its_completion(talk: Conversation) -> None:
    talk.ask(id="way-stream", prompt="Why?", stream=True, max_output_tokens=60, ignore_eos=True)
    body = succeeded(talk.completion("way-stream").body)
    reader = ChunkReader()
    for record in talk.read(talk.topics.chunks):
        if record.key == b"way-stream":
            reader.take(decode_chunk(record.value))
    assert reader.whole
    assert reader.text == body["text"]
    assert body["output_tokens"] == 60


def succeeded(body: dict[str, Any]) -> dict[str, Any]:
    assert body["status"] == "succeeded", body["error"]
    assert body["calls"] >= 1
    return body
