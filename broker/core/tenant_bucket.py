"""What one tenant has used in a UTC day or month, by partition of the prompts. Pure."""

from broker.core.limit_room import Sums, add
from broker.core.tenant_limits import Amounts


class Bucket:
    """What was used in one day or month, by partition."""

    __slots__ = ("by", "everyone", "own")

    def __init__(self) -> None:
        self.by: dict[int, Sums] = {}
        self.everyone: Sums = [0.0, 0.0, 0.0]
        self.own: Sums = [0.0, 0.0, 0.0]

    def note(self, partition: int, amounts: Amounts, *, own: bool) -> None:
        """So much more, or less where it is below zero."""
        add(self.everyone, amounts)
        self.note_lent(partition, amounts, own=own)

    def note_lent(self, partition: int, amounts: Amounts, *, own: bool) -> None:
        """So much of a partition's part was lent to another, or, below zero, borrowed."""
        sums = self.by.get(partition)
        if sums is None:
            sums = self.by[partition] = [0.0, 0.0, 0.0]
        add(sums, amounts)
        if own:
            add(self.own, amounts)

    def owns(self, partitions: frozenset[int]) -> None:
        """These partitions are this classifier's from now on."""
        self.own = [0.0, 0.0, 0.0]
        for partition in partitions & self.by.keys():
            add(self.own, self.by[partition])
