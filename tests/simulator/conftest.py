"""One simulator with four dialects for all tests of a file."""

from collections.abc import Iterator

import pytest

from tests.simulator.speaking import Speaking, four_dialects, speaking


@pytest.fixture(scope="module")
def spoken() -> Iterator[Speaking]:
    with speaking(four_dialects()) as running:
        yield running


@pytest.fixture
def clouds(spoken: Speaking) -> Iterator[Speaking]:
    """Well at the beginning, and counted from zero."""
    spoken.well()
    spoken.remote.forget_served()
    yield spoken
    spoken.well()
