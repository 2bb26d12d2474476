"""A recording server for each file of tests, and the official clients that ask it."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack

import pytest
from openai import OpenAI

from tests.wire.openai_comparing import DIALECTS
from tests.wire.recording import Recording, recording


@pytest.fixture(scope="module")
def server() -> Iterator[Recording]:
    with recording() as kept:
        yield kept


@pytest.fixture(scope="module")
def sdks(server: Recording) -> Iterator[Mapping[str, OpenAI]]:
    """OpenAI's clients by the name of the dialect; each takes long to make."""
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(dialect.sdk(server.url)) for name, dialect in DIALECTS.items()
        }
