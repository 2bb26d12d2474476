"""Whose turn it is among the tenants of one lane, and which of a tenant's items goes first.

Between tenants: start-time fair queueing over token weights. Each tenant has a clock that each
start moves on by `weight / share`; the tenant with the earliest clock goes next, to within a slice
(`broker.core.turn_order`). So the clocks of two that always have something to start are never
further apart than the weight of the one that is ahead, divided by its share, and a slice. What they
were served since both had their first turn, each divided by its share, differs by no more than the
largest weight of each divided by its share, and two slices. A clock was chosen over deficit round
robin, which serves whole quanta in a row and needs a quantum as large as the largest weight to be
fast: a short prompt would wait for a quantum of every other tenant.

Who comes new, or back, begins at the lane's clock, so that it gets nothing for the time before. The
lane's clock moves on with every start, at the speed of all shares that wait together. So it passes
any tenant's clock after so much work as that tenant's turn stands away, and who comes later comes
after it: newcomers keep nobody waiting for ever, however many there are. It is ahead of the
earliest clock by no more than the largest weight of any tenant, divided by its share: for so much
longer a newcomer waits for its first turn.

Inside a tenant the least key goes first: see `broker.core.ageing`.

A model that has to wait (for quota) keeps no other waiting: who is next is asked for each model.
Inside a model nobody goes before whose turn it is, or small ones would take all quota from large.
"""

import heapq
from collections import deque
from collections.abc import Callable, Iterator
from itertools import count
from typing import Final, Generic, TypeVar

from broker.core.ageing import Waits
from broker.core.tenant_clocks import Tenant, TenantClocks
from broker.core.turn_order import TurnOrder

_SLACK: Final = 256
"""Entries of items that are gone which may still be held before they are swept."""

T = TypeVar("T", bound=Waits)

Entry = tuple[float, int, T]
"""Key, order of coming, item. The order is never equal, so that items are never compared."""


class _Model(Generic[T]):
    """Who waits for a model: lines by tenant, and the heap of those with items.

    Clocks in `turns` may be earlier than the tenants' own.
    """

    __slots__ = ("lines", "turns")

    def __init__(self) -> None:
        self.lines: dict[str, _Line[T]] = {}
        self.turns: TurnOrder[_Line[T]] = TurnOrder()


class _Line(Generic[T]):
    """What one tenant asks of one model: the least entry, and a heap of others where there are any.

    Entries may be of items that are gone. `listed` says that it stands in its model's `turns`.
    """

    __slots__ = ("first", "listed", "model", "others", "tenant")

    def __init__(self, tenant: Tenant, model: _Model[T]) -> None:
        self.tenant = tenant
        self.model = model
        self.first: Entry[T] | None = None
        self.others: list[Entry[T]] | None = None
        self.listed = False

    def push(self, entry: Entry[T]) -> None:
        first, others = self.first, self.others
        if first is None:
            self.first = entry
            return
        if entry < first:
            self.first, entry = entry, first
        if others is None:
            self.others = [entry]
        else:
            heapq.heappush(others, entry)

    def pop(self) -> None:
        self.first = heapq.heappop(self.others) if self.others else None

    def keep(self, waiting: dict[T, Entry[T]]) -> bool:
        """Only what waits; whether there is any, and so a turn."""
        entries: list[Entry[T]] = [] if self.first is None else [self.first, *(self.others or ())]
        self.others = sorted(one for one in entries if waiting.get(one[2]) is one)
        self.pop()
        self.listed = self.first is not None
        return self.listed


class FairQueue(Generic[T]):
    """The items of one lane. `share_of` says a tenant's share. Not thread-safe."""

    def __init__(self, share_of: Callable[[str], float]) -> None:
        self._clocks = TenantClocks(share_of, self._forget)
        self._models: dict[str, _Model[T]] = {}
        self._open: list[_Model[T]] = []  # those with turns
        self._waiting: dict[T, Entry[T]] = {}
        self._came: deque[Entry[T]] = deque()
        self._entries = 0
        self._order = count()

    def __len__(self) -> int:
        """Items that wait."""
        return len(self._waiting)

    def __contains__(self, item: object) -> bool:
        """Whether the item waits here."""
        return item in self._waiting

    def __iter__(self) -> Iterator[T]:
        """Every item, those that came first before the others; collect before changing."""
        waiting = self._waiting
        return (entry[2] for entry in self._came if waiting.get(entry[2]) is entry)

    @property
    def oldest(self) -> T | None:
        """Of all that wait here, the one that came first."""
        came, waiting = self._came, self._waiting
        while came and waiting.get(came[0][2]) is not came[0]:
            came.popleft()
        return came[0][2] if came else None

    def use(self, share_of: Callable[[str], float]) -> None:
        """Other shares, for each tenant from its next start on. Any thread may say so."""
        self._clocks.use(share_of)

    def add(self, item: T, key: float) -> None:
        """Let an item wait; inside its tenant the least key goes first."""
        order = next(self._order)
        entry = (key, order, item)
        self._waiting[item] = entry
        self._note(entry)
        model = self._models.get(item.model)
        if model is None:
            model = self._models[item.model] = _Model()
        line = model.lines.get(item.tenant)
        if line is None:
            line = model.lines[item.tenant] = _Line(self._clocks.tenant(item.tenant), model)
        tenant = line.tenant
        self._clocks.joins(tenant)
        line.push(entry)
        if not line.listed:
            line.listed = True
            if not model.turns:
                self._open.append(model)
            model.turns.push((tenant.clock, order, line))

    def take(self, may_start: Callable[[T], bool] | None = None) -> T | None:
        """Remove and return the item that goes next; None when none may.

        `may_start` is asked for one item of each model at most, the tenant whose turn it is first.
        """
        if len(self._open) == 1:
            return self._take_of(self._open[0], may_start)
        tops = [turn for model in self._open if (turn := self._top(model)) is not None]
        if len(tops) < len(self._open):
            self._open = [line.model for _, _, line in tops]
        if len(tops) > 1:
            tops.sort()
        for _, _, line in tops:
            first = line.first
            if first is not None and (may_start is None or may_start(first[2])):
                self._start(first[2], line)
                return first[2]
        return None

    def _take_of(self, model: _Model[T], may_start: Callable[[T], bool] | None) -> T | None:
        """As `take`, where all that waits asks the same model."""
        turn = self._top(model)
        if turn is None:
            self._open = []
            return None
        line = turn[2]
        first = line.first
        if first is None or not (may_start is None or may_start(first[2])):
            return None
        self._start(first[2], line)
        return first[2]

    def remove(self, item: T) -> bool:
        """Take an item out that does not start; False when it does not wait here."""
        if self._waiting.pop(item, None) is None:
            return False
        self._clocks.leaves(item.tenant)
        if self._entries > 2 * len(self._waiting) + _SLACK:
            self._sweep()
        return True

    def _note(self, entry: Entry[T]) -> None:
        """Keep the order of coming; what was here or elsewhere before goes ahead of all."""
        came = self._came
        self._entries += 1
        if came and entry[2].arrived_at < came[0][2].arrived_at:
            came.appendleft(entry)
        else:
            came.append(entry)
        if len(came) > 2 * len(self._waiting) + _SLACK:
            self._sweep_came()

    def _top(self, model: _Model[T]) -> tuple[float, int, _Line[T]] | None:
        """The line of a model whose turn it is, with an item at its head; None without one."""
        turns, waiting = model.turns, self._waiting
        while turns:
            clock, order, line = turn = turns.first
            while (first := line.first) is not None and waiting.get(first[2]) is not first:
                line.pop()
                self._entries -= 1
            if first is None:
                turns.pop()
                line.listed = False
            elif clock < line.tenant.clock:
                turns.pop()
                turns.push((line.tenant.clock, order, line))
            else:
                return turn
        return None

    def _start(self, item: T, line: _Line[T]) -> None:
        """The first of the line that is at the top of its model goes."""
        turns = line.model.turns
        order = turns.first[1]
        turns.pop()
        del self._waiting[item]
        line.pop()
        self._entries -= 1
        self._clocks.served(line.tenant, item.weight)
        if line.first is None:
            line.listed = False
            if not turns:
                self._open.remove(line.model)
        else:
            turns.push((line.tenant.clock, order, line))

    def _forget(self, tenant: str) -> None:
        for model in self._models.values():
            model.lines.pop(tenant, None)

    def _sweep_came(self) -> None:
        waiting = self._waiting
        self._came = deque(entry for entry in self._came if waiting.get(entry[2]) is entry)

    def _sweep(self) -> None:
        """Let go of the entries of what is gone."""
        self._sweep_came()
        waiting = self._waiting
        for model in self._open:
            model.turns.keep(lambda line: line.keep(waiting))
        self._open = [model for model in self._open if model.turns]
        self._entries = len(waiting)
