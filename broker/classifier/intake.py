"""What the transport hands over, and to whom."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from broker.classifier.stable_offsets import StableOffsets


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of one partition as one fetch brought them, read in the assignment `epoch`.

    `number` counts the batches of the partition in this epoch from 0: with it whoever takes them
    knows that none was left out on the way.
    """

    partition: int
    epoch: int
    number: int
    records: list[Any]


@dataclass(frozen=True, slots=True)
class Position:
    """Where a partition is read on: `base`. `first` is the oldest offset that it still has."""

    base: int
    first: int
    metadata: str = ""


class Intake(Protocol):
    """Who takes the batches. Every method is called on the event loop of the app."""

    def on_assigned(self, epoch: int, positions: Mapping[int, Position]) -> None:
        """A rebalance is over: these partitions are ours, to be read from these positions."""

    def on_revoking(self) -> None:
        """A rebalance begins."""

    async def on_revoked(self, *, member: bool) -> None:
        """Last chance to commit. `member` is False when the group has put us out already."""

    def on_fetched(self, records: int) -> None:
        """So many records are on their way to the agent."""

    def is_ready(self, partition: int) -> bool:
        """Whether records of the partition may be delivered now; asked before every fetch."""


@dataclass(slots=True)
class Connection:
    """What the transport needs beyond Faust's own settings; `App.connection` holds it."""

    intake: Intake
    offsets: StableOffsets
    security: Mapping[str, Any]
    topic: str
    offsets_deadline_s: float = 20.0
