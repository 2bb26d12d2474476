"""Whose turn it is among the tenants of one lane, and which of a tenant's items goes first.

Between tenants: start-time fair queueing over token weights. Each tenant has a clock that each
start moves on by `weight / share`; the tenant with the earliest clock goes next. So between two
tenants that both always have something to start, what they were served, each divided by its share,
never differs by more than the sum of the largest weight of each divided by its share. A clock was
chosen over deficit round robin, which serves whole quanta in a row and needs a quantum as large as
the largest weight to be fast: a short prompt would wait for a quantum of every other tenant.

Who comes new, or back, begins at the lane's clock, so that it gets nothing for the time before. The
lane's clock moves on with every start, at the speed of all shares that wait together. So it passes
any tenant's clock after so much work as that tenant's turn stands away, and who comes later comes
after it: newcomers keep nobody waiting for ever, however many there are.

Inside a tenant the least key goes first: see `broker.core.ageing`.

A model that has to wait (for quota) keeps no other waiting: who is next is asked for each model.
Inside a model nobody goes before whose turn it is, or small ones would take all quota from large.
"""

import heapq
from collections import deque
from collections.abc import Callable, Iterator
from itertools import count
from operator import itemgetter
from typing import Final, Generic, TypeVar

from broker.core.ageing import Waits

_LEAST_WEIGHT: Final = 1
_LEAST_SHARE: Final = 0.001
_SLACK: Final = 256
"""Entries of items that are gone which may still be held before they are swept."""
_FORGET: Final = 2


T = TypeVar("T", bound=Waits)

Entry = tuple[float, int, T]
"""Key, order of coming, item. The order is never equal, so that items are never compared."""


class _Tenant:
    """`clock` is its turn; `waiting` its items, `lines` the models that it has a line for."""

    __slots__ = ("clock", "idle", "lines", "name", "share", "waiting")

    def __init__(self, name: str, clock: float) -> None:
        self.name = name
        self.clock = clock
        self.share = 1.0
        self.waiting = self.lines = 0
        self.idle = False


class _Line(Generic[T]):
    """What one tenant asks of one model: a heap, with entries of items that are gone."""

    __slots__ = ("entries", "tenant")

    def __init__(self, tenant: _Tenant) -> None:
        self.tenant = tenant
        self.entries: list[Entry[T]] = []


class _Model(Generic[T]):
    """Who waits for a model. Clocks in `turns`, a heap, may be earlier than the tenants' own."""

    __slots__ = ("lines", "turns")

    def __init__(self) -> None:
        self.lines: dict[str, _Line[T]] = {}
        self.turns: list[tuple[float, int, _Line[T]]] = []


class FairQueue(Generic[T]):
    """The items of one lane. `share_of` says a tenant's share. Not thread-safe."""

    def __init__(self, share_of: Callable[[str], float]) -> None:
        self._share_of = share_of
        self._models: dict[str, _Model[T]] = {}
        self._tenants: dict[str, _Tenant] = {}
        self._idle: deque[_Tenant] = deque()
        self._waiting: dict[T, Entry[T]] = {}
        self._came: deque[Entry[T]] = deque()
        self._entries = 0
        self._shares = 0.0
        self._served = self._clock = 0.0
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

    def add(self, item: T, key: float) -> None:
        """Let an item wait; inside its tenant the least key goes first."""
        entry = (key, next(self._order), item)
        self._waiting[item] = entry
        self._note(entry)
        name, tenants = item.tenant, self._tenants
        tenant = tenants.get(name)
        if tenant is None:
            tenant = tenants[name] = _Tenant(name, self._clock)
        if not tenant.waiting:
            tenant.clock = max(tenant.clock, self._clock)
            tenant.share = max(self._share_of(name), _LEAST_SHARE)
            self._shares += tenant.share
        tenant.waiting += 1
        model = self._models.get(item.model)
        if model is None:
            model = self._models[item.model] = _Model()
        line = model.lines.get(name)
        if line is None:
            line = model.lines[name] = _Line(tenant)
            tenant.lines += 1
            heapq.heappush(model.turns, (tenant.clock, entry[1], line))
        heapq.heappush(line.entries, entry)

    def take(self, may_start: Callable[[T], bool] | None = None) -> T | None:
        """Remove and return the item that goes next; None when none may.

        `may_start` is asked for one item of each model at most, the tenant whose turn it is first.
        """
        tops = []
        for name in list(self._models):
            model = self._models[name]
            turn = self._top(model)
            if turn is None:
                del self._models[name]
            else:
                tops.append((turn, model))
        if len(tops) > 1:
            tops.sort(key=itemgetter(0))
        for (_, _, line), model in tops:
            item = line.entries[0][2]
            if may_start is None or may_start(item):
                self._start(item, model, line)
                return item
        return None

    def remove(self, item: T) -> bool:
        """Take an item out that does not start; False when it does not wait here."""
        if self._waiting.pop(item, None) is None:
            return False
        self._leaves(self._tenants[item.tenant])
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
            clock, order, line = turn = turns[0]
            entries = line.entries
            while entries and waiting.get(entries[0][2]) is not entries[0]:
                heapq.heappop(entries)
                self._entries -= 1
            if not entries:
                heapq.heappop(turns)
                self._close(model, line)
            elif clock < line.tenant.clock:
                heapq.heapreplace(turns, (line.tenant.clock, order, line))
            else:
                return turn
        return None

    def _start(self, item: T, model: _Model[T], line: _Line[T]) -> None:
        """The head of the line that is at the top of its model goes."""
        tenant = line.tenant
        weight = max(item.weight, _LEAST_WEIGHT)
        # Who had nothing but work of a model that had to wait gets nothing for that time either.
        start = self._served = max(tenant.clock, self._served)
        tenant.clock = end = start + weight / tenant.share
        together = max(self._shares, tenant.share)
        self._clock = max(self._clock, start, min(self._clock + weight / together, end))
        del self._waiting[item]
        heapq.heappop(line.entries)
        self._entries -= 1
        self._leaves(tenant)
        if line.entries:
            heapq.heapreplace(model.turns, (end, model.turns[0][1], line))
        else:
            heapq.heappop(model.turns)
            self._close(model, line)

    def _leaves(self, tenant: _Tenant) -> None:
        tenant.waiting -= 1
        if not tenant.waiting:
            self._shares = self._shares - tenant.share if self._waiting else 0.0

    def _close(self, model: _Model[T], line: _Line[T]) -> None:
        """A line is empty; tenants without any are forgotten when their clocks say nothing more."""
        tenant, idle = line.tenant, self._idle
        del model.lines[tenant.name]
        tenant.lines -= 1
        if not tenant.lines and not tenant.idle:
            tenant.idle = True
            idle.append(tenant)
        for _ in range(min(_FORGET, len(idle))):
            one = idle.popleft()
            if one.lines:
                one.idle = False
            elif one.clock <= self._clock:
                del self._tenants[one.name]
            else:
                idle.append(one)

    def _sweep_came(self) -> None:
        waiting = self._waiting
        self._came = deque(entry for entry in self._came if waiting.get(entry[2]) is entry)

    def _sweep(self) -> None:
        """Let go of the entries of what is gone."""
        self._sweep_came()
        waiting = self._waiting
        for model in self._models.values():
            for line in list(model.lines.values()):
                line.entries = [each for each in line.entries if waiting.get(each[2]) is each]
                heapq.heapify(line.entries)
                if not line.entries:
                    self._close(model, line)
            model.turns = [turn for turn in model.turns if turn[2].entries]
            heapq.heapify(model.turns)
        self._entries = len(waiting)


def equal_shares(_tenant: str) -> float:
    """The share of a tenant where none is set."""
    return 1.0
