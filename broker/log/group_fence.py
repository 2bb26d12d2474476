"""Group membership as transactions carry it, so that the broker refuses offsets of a lost one.

librdkafka keeps it as private bytes: `CGMDv2:`, the generation (int32, little endian), the group,
NUL, the member id, NUL, and a last byte 1, which says "no instance id" (a static member's own has
0, its instance id and NUL; the broker fences a replaced one by its member id all the same).
Building them ourselves lets a transactional producer carry the membership of a consumer that is not
librdkafka's (Faust's is aiokafka's). Because the layout is private, `verify_layout` compares it
with real ones at start.
"""

import struct
from typing import Protocol

from confluent_kafka import Consumer

from broker.records.errors import WeighbridgeError

MAGIC = b"CGMDv2:"
_GENERATION = struct.Struct("<i")


class LayoutError(WeighbridgeError):
    """This librdkafka lays group metadata out in another way than ours."""

    default_code = "group_metadata_layout"


class FenceSource(Protocol):
    """Where the writer learns the membership. Any thread may ask."""

    def current(self) -> bytes | None:
        """Group metadata for `send_offsets_to_transaction`; None while not joined."""

    def wait_newer(self, than: bytes | None, deadline_s: float) -> bytes | None:
        """Metadata that differ from `than`, or None when there were none in time."""


def group_metadata(group: str, generation: int, member_id: str) -> bytes:
    """The bytes librdkafka would make for this membership."""
    return b"".join(
        (
            MAGIC,
            _GENERATION.pack(generation),
            group.encode(),
            b"\0",
            member_id.encode(),
            b"\0",
            b"\1",
        )
    )


def generation_of(metadata: bytes) -> int:
    """The generation in group metadata; -1 before the consumer has joined."""
    if not metadata.startswith(MAGIC) or len(metadata) < len(MAGIC) + _GENERATION.size:
        return -1
    generation: int = _GENERATION.unpack_from(metadata, len(MAGIC))[0]
    return generation


def member_of(metadata: bytes) -> str:
    """The member id in group metadata; empty before the consumer has joined."""
    if generation_of(metadata) < 0:
        return ""
    _group, member, *_ = metadata[len(MAGIC) + _GENERATION.size :].split(b"\0")
    return member.decode()


def verify_layout() -> None:
    """Compare with what this librdkafka makes for a consumer that has not joined.

    Raises LayoutError when it differs: then offsets must not be committed with bytes of ours.
    """
    consumer = Consumer({"bootstrap.servers": "127.0.0.1:9", "group.id": "layout", "log_level": 0})
    try:
        real = consumer.consumer_group_metadata()
    finally:
        consumer.close()
    if real != group_metadata("layout", -1, ""):
        raise LayoutError(
            "This version of confluent-kafka lays out group metadata in a way we do not know.",
            mend="Install the version of confluent-kafka that Weighbridge pins.",
        )
