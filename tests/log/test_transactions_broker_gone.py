"""The broker goes away under a busy writer, and comes back."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.log.embedded import EmbeddedKafka
from broker.settings import load_settings
from tests.log.writing import Field, Writing, eventually, once, running

START_S = 60.0


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedKafka]:
    kafka = EmbeddedKafka(tmp_path / "kafka", profile="short", owned=True)
    yield kafka
    kafka.stop()


def test_a_broker_killed_and_started_again_gets_everything_once(
    broker: EmbeddedKafka, prefix: str
) -> None:
    started = broker.start(START_S)
    field = Field(load_settings(kafka={"bootstrap": started.bootstrap, "prefix": prefix}))
    writing = Writing(field)
    for partition in range(3):
        writing.assign(partition)
    sent = dict.fromkeys(range(3), 0)
    enough = threading.Event()

    def go_on() -> None:
        while not enough.wait(0.01):
            for partition, at in sent.items():
                writing.writer.submit(writing.units(partition, range(at, at + 3)))
                sent[partition] = at + 3

    with running(writing) as writer:
        owner = threading.Thread(target=go_on)
        owner.start()
        try:
            for _ in range(2):
                before = len(writing.committed)
                assert eventually(lambda: len(writing.committed) > before + 100)  # noqa: B023 - asked at once
                broker.kill()
                time.sleep(1.5)  # what is under way meets nobody
                assert broker.start(START_S).bootstrap == started.bootstrap
        finally:
            enough.set()
            owner.join()
        assert writer.flush(60)
        assert not writing.failures
    assert field.values() == once(sent)
    assert {p: base for p, (base, _) in field.positions().items()} == sent
    assert len(writing.committed) == sum(sent.values())
    assert eventually(lambda: field.open_records() == 0, 5.0)
