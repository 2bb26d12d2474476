"""What the transactional writer is given: everything that came of one input record."""

from dataclasses import dataclass, field

from broker.records.incoming import Headers


@dataclass(frozen=True, slots=True)
class PartitionSet:
    """Any of `count` partitions from `first` on.

    The writer chooses one for a whole transaction and another for the next: what a transaction
    costs the broker follows the partitions it touches, not the records in it.
    """

    first: int
    count: int


@dataclass(frozen=True, slots=True)
class Output:
    """One record to write. A null `value` is a tombstone."""

    topic: str
    partition: int | PartitionSet
    key: bytes | None
    value: bytes | None = field(repr=False)
    headers: Headers = field(repr=False, default=())


@dataclass(frozen=True, slots=True)
class Unit:
    """Outputs that are committed together with the offset of the one record they came of.

    `outputs` may be empty: the record is done and nothing comes of it. `epoch` is that of the
    assignment under which the record was read; `tag` is the owner's, untouched.
    """

    topic: str
    partition: int
    offset: int
    epoch: int
    outputs: tuple[Output, ...]
    tag: object = field(repr=False, default=None)
