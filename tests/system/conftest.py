"""A small deployment of child processes, up once for a module of tests."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.log.embedded import Running
from broker.settings import load_settings
from tests.system.conversation import Conversation, talking

MOST_BYTES = 20_000
"""`worker.max_record_bytes` of this deployment: a long answer is too large for a record."""
TOPICS = {"prompts": 4, "work": 8, "completions": 4, "calls": 1, "chunks": 1, "dead_letters": 2}


@pytest.fixture(scope="module")
def claims(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where answers that are too large for a record go."""
    return tmp_path_factory.mktemp("claims")


@pytest.fixture(scope="module")
def talk(
    kafka: Running, claims: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Conversation]:
    """A simulator, a classifier, and a worker each for azure and google."""
    settings = load_settings(
        kafka={"bootstrap": kafka.bootstrap, "prefix": f"s{secrets.token_hex(4)}"},
        topics=TOPICS,
        models={"chat-small": {"default": True}},
        providers={
            "azure": {"models": {"chat-small": "gpt-5-mini"}},
            "google": {"models": {"chat-small": "gemini-3-flash"}},
        },
        simulator={"fast": True},
        worker={"max_record_bytes": MOST_BYTES},
        store={"url": claims.as_uri()},
        log={"format": "json"},
    )
    with talking(settings, tmp_path_factory.mktemp("logs")) as conversation:
        yield conversation
