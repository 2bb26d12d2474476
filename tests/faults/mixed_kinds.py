"""Every kind of prompt through three dialects at once, and what must be true of the answers."""

import base64
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlparse

import orjson

from broker.log.topic_names import TopicNames
from broker.settings import Settings
from broker.story.log_reader import LogReader
from tests.faults.rig import fault_settings

KINDS: Final[Sequence[Mapping[str, Any]]] = (
    {},
    {"stream": True},
    {},
    {"kind": "image", "n": 1},
    {"stream": True},
    {"kind": "embedding", "input": ["Why?", "Because."]},
)
"""In turn: of six prompts two are streams, one a picture, one has two texts to embed."""
RATE: Final = 40.0
_MODELS: Final = {
    "chat-small": {"kind": "chat", "default": True},
    "picture": {"kind": "image", "default": True},
    "embedding": {"kind": "embedding", "default": True},
}
_SERVED: Final = {
    "azure": ("azure", "gpt-5-mini", "gpt-image-1", "text-embedding-3-small"),
    "google": ("gemini", "gemini-3-flash", "gemini-3-pro-image", "gemini-embedding-001"),
    "openai": ("openai", "gpt-5-mini", "gpt-image-1", "text-embedding-3-small"),
}
_CLOUD: Final = {"picture_bytes": 20_000, "per_picture_s": 1.0, "dimensions": 64}


def mixed_settings(bootstrap: str, prefix: str, store: Path) -> Settings:
    """Three providers, each in its own dialect, and a store of this test's own."""
    return fault_settings(
        bootstrap,
        prefix,
        models=_MODELS,
        providers={
            name: {
                "dialect": dialect,
                "models": dict(zip(_MODELS, names, strict=True)),
                "max_in_flight": 64,
                "first_byte_s": 20.0,
            }
            for name, (dialect, *names) in _SERVED.items()
        },
        simulator={"speed": 10.0, "clouds": dict.fromkeys(_SERVED, _CLOUD)},
        store={"url": store.as_uri()},
    )


def streams_of(ids: Iterable[str]) -> set[str]:
    """Those of the traffic's prompts that asked for a stream: ids end with their number."""
    numbers = ((identity, int(identity.rpartition("-")[2])) for identity in ids)
    return {i for i, number in numbers if KINDS[number % len(KINDS)].get("stream")}


def expect_whole_answers(settings: Settings) -> Counter[str]:
    """Each success holds what its kind promises, each picture lies in the store; counts by kind."""
    found: Counter[str] = Counter()
    with LogReader(settings) as reader:
        topic = TopicNames(settings.kafka.prefix).completions
        for batch in reader.read(reader.spans(topic, settled=True)):
            for message in batch:
                answer = orjson.loads(message.value())
                assert answer["status"] == "succeeded", (answer["id"], answer["error"])
                _CHECKS[answer["kind"]](answer)
                found[answer["kind"]] += 1
    return found


def _chat(answer: Mapping[str, Any]) -> None:
    assert answer["text"], answer["id"]


def _image(answer: Mapping[str, Any]) -> None:
    (picture,) = answer["body"]["data"]
    data = Path(unquote(urlparse(picture["dataref"]).path)).read_bytes()
    assert data.startswith(b"\x89PNG"), answer["id"]
    assert len(data) == picture["dataref_size"]
    assert hashlib.sha256(data).hexdigest() == picture["dataref_sha256"]


def _embedding(answer: Mapping[str, Any]) -> None:
    vectors = answer["body"]["data"]
    assert [one["index"] for one in vectors] == [0, 1]
    for one in vectors:
        assert len(base64.b64decode(one["embedding"])) == 64 * 4, answer["id"]


_CHECKS: Final = {"chat": _chat, "image": _image, "embedding": _embedding}
