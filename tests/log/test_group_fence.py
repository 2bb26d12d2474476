"""Group metadata that we build are those that librdkafka makes."""

from typing import Any

import pytest
from confluent_kafka import Consumer

from broker.log import group_fence
from broker.log.clients import consumer_config
from broker.log.group_fence import LayoutError, generation_of, group_metadata, verify_layout
from broker.settings import Settings
from tests.log.writing import Field, Writing, eventually, once, running


def test_the_layout_of_this_librdkafka_is_known() -> None:
    verify_layout()


def test_another_layout_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_fence, "MAGIC", b"CGMDv3:")
    with pytest.raises(LayoutError) as told:
        verify_layout()
    assert told.value.code == "group_metadata_layout"
    assert "Install the version" in told.value.mend


def member(field: Field, **config: str) -> Any:
    """A consumer of the group that has joined it."""
    given = {"group.id": field.group, "session.timeout.ms": 10_000, **config}
    consumer = Consumer(consumer_config(field.settings, **given))
    consumer.subscribe([field.source])
    assert eventually(lambda: consumer.poll(0.05) is None and bool(consumer.assignment()))
    return consumer


def ours(field: Field, consumer: Any) -> bytes:
    generation = generation_of(consumer.consumer_group_metadata())
    assert generation >= 0
    return group_metadata(field.group, generation, consumer.memberid())


def test_what_a_member_carries_is_what_we_would_build(settings: Settings) -> None:
    field = Field(settings)
    consumer = member(field)
    try:
        assert consumer.consumer_group_metadata() == ours(field, consumer)
    finally:
        consumer.close()


def test_a_static_member_commits_with_ours_until_another_process_has_its_place(
    settings: Settings,
) -> None:
    """Ours do not name the instance; the member id alone fences a process that was replaced."""
    field = Field(settings)
    first = member(field, **{"group.instance.id": "slot-0"})
    second = None
    writing = Writing(field)
    writing.assign(0)
    try:
        with running(writing) as writer:
            writing.fence.metadata = ours(field, first)
            writer.submit(writing.units(0, range(5)))
            assert writer.flush(30)
            second = member(field, **{"group.instance.id": "slot-0"})
            writer.submit(writing.units(0, range(5, 10)))
            assert eventually(lambda: ("rejoin", 0) in writing.transactions)
            assert field.values() == once({0: 5})
    finally:
        first.close()
        if second is not None:
            second.close()


@pytest.mark.parametrize("text", [b"", b"CGMDv2:", b"CGMDv2:\x01", b"CGMDv9:\x01\x00\x00\x00g\x00"])
def test_bytes_that_are_no_metadata_have_no_generation(text: bytes) -> None:
    assert generation_of(text) == -1
