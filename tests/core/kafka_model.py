"""A broker in memory, as far as exactly-once needs one: logs, transactions, groups, generations."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

Place = tuple[str, int]
"""Topic and partition."""


class State(Enum):
    OPEN = 1
    COMMITTED = 2
    ABORTED = 3


class FencedError(Exception):
    """The generation of the group is not the caller's, or its producer was made anew."""


class UnstableError(Exception):
    """A transaction that may move this offset is still open."""


@dataclass
class Transaction:
    state: State = State.OPEN
    places: set[Place] = field(default_factory=set)
    offsets: dict[tuple[str, Place], tuple[int, str]] = field(default_factory=dict)


class Broker:
    def __init__(self, places: Iterable[Place], groups: Iterable[str]) -> None:
        self.logs: dict[Place, list[tuple[Any, Transaction | None]]] = {p: [] for p in places}
        self.committed: dict[tuple[str, Place], tuple[int, str]] = {}
        self.generation = dict.fromkeys(groups, 1)
        self.open: dict[str, Transaction] = {}  # by transactional id

    def append(self, place: Place, value: Any) -> None:
        """A plain producer's record."""
        self.logs[place].append((value, None))

    def read(self, place: Place, position: int) -> tuple[int, int | None, Any]:
        """Read-committed: the position after reading, and the record met on the way, if any."""
        log = self.logs[place]
        while position < len(log):
            value, transaction = log[position]
            state = State.COMMITTED if transaction is None else transaction.state
            if state is State.OPEN:
                break
            position += 1
            if state is State.COMMITTED and value is not None:
                return position, position - 1, value
        return position, None, None

    def visible(self, place: Place, stop: int | None = None) -> list[tuple[int, Any]]:
        """All read-committed records below `stop`."""
        found = []
        position, offset, value = self.read(place, 0)
        while offset is not None and (stop is None or offset < stop):
            found.append((offset, value))
            position, offset, value = self.read(place, position)
        return found

    def init(self, identity: str) -> None:
        """A producer with this transactional id begins anew: the old one's transaction is over."""
        if identity in self.open:
            self.end(identity, State.ABORTED)

    def begin(self, identity: str) -> None:
        assert identity not in self.open
        self.open[identity] = Transaction()

    def produce(self, identity: str, place: Place, value: Any) -> None:
        transaction = self.open[identity]
        transaction.places.add(place)
        self.logs[place].append((value, transaction))

    def send_offsets(
        self, identity: str, group: str, generation: int, at: Mapping[Place, tuple[int, str]]
    ) -> None:
        """The broker checks the generation and not who owns the partition."""
        if generation != self.generation[group]:
            raise FencedError
        self.open[identity].offsets.update({(group, place): said for place, said in at.items()})

    def end(self, identity: str, state: State) -> None:
        transaction = self.open.pop(identity)
        transaction.state = state
        if state is State.COMMITTED:
            self.committed.update(transaction.offsets)
        for place in transaction.places:
            self.logs[place].append((None, transaction))  # the marker takes an offset too

    def stable(self, group: str, place: Place) -> tuple[int, str]:
        """The committed offset and its metadata, once no transaction can change them."""
        if any((group, place) in transaction.offsets for transaction in self.open.values()):
            raise UnstableError
        return self.committed.get((group, place), (0, ""))
