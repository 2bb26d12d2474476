"""What every test may ask for: one embedded Kafka for the session, and topic names of its own."""

import logging
import os
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import structlog

from broker.log.embedded import EmbeddedKafka, Running
from broker.log.embedded.jars import JARS_VARIABLE, jars_folder
from broker.settings import Settings, load_settings
from broker.telemetry.logs import NOISY

# The same examples in each run, so that a change is judged by itself; `make soak` has new ones.
# How long one takes says nothing on a machine that others use too.
hypothesis.settings.register_profile("steady", derandomize=True, deadline=None)
hypothesis.settings.register_profile("explore", deadline=None, max_examples=1_000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))

# Where the whole run was put into the background, Ctrl-C is ignored, also by the commands it tests.
signal.signal(signal.SIGINT, signal.default_int_handler)

START_DEADLINE_S = 120.0
"""Two shared cores, and perhaps the first fetch of Kafka on this machine."""


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A real broker for the whole session; `.bootstrap` is where it listens.

    It is shared: use the fixture `prefix` for topics, groups and transactional ids, and never stop
    it. A test that kills its broker starts an EmbeddedKafka of its own.
    """
    broker = EmbeddedKafka(tmp_path_factory.mktemp("kafka"), profile="short", owned=True)
    try:
        yield broker.start(START_DEADLINE_S)
    finally:
        broker.stop()


@pytest.fixture
def prefix() -> str:
    """A topic prefix that no other test has, such as `t1a2b3c4d`."""
    return f"t{secrets.token_hex(4)}"


@pytest.fixture
def settings(kafka: Running, prefix: str) -> Settings:
    """The default settings on the session's broker under this test's prefix; no topics made."""
    return load_settings(kafka={"bootstrap": kafka.bootstrap, "prefix": prefix})


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's own data, state, settings or environment.

    Kafka's jars stay where they are, so that they are fetched once.
    """
    monkeypatch.setenv(JARS_VARIABLE, str(jars_folder().parent))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg-data"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg-state"))
    for name in [name for name in os.environ if name.startswith("WEIGHBRIDGE_")]:
        if name != JARS_VARIABLE:
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """What one test configures of the logs is undone: the next one's lines would go to its stream.

    The tests of a file run in one process with those of others, in an order that chance decides.
    """
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    levels = {name: logging.getLogger(name).level for name in NOISY}
    lines = structlog.get_config()
    yield
    structlog.configure(**lines)
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
